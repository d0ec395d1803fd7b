"""Opening what is meant to be a file: a named pipe would block, a device would never end."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def regular_file(path: Path, limit: int) -> Iterator[BinaryIO]:
    """A regular file of at most limit bytes, open to be read; ValueError with the reason for anything else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        if status.st_size > limit:
            raise ValueError(f"larger than {limit // 2**20} MiB")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
