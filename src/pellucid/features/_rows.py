"""Rows of one column on disk: .npy files that anything can map, and that grow while they are computed.

A growing file has the keys of its rows beside it. Rows are on the disk before their keys are written, so that what is
cut off by a crash, at any point, is at most the rows of one batch.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HEADER = 128
"""Bytes of a .npy header; of fixed length, so that the count in it can be written last."""

LINE = 33
"""Bytes of a line of the keys: 32 digits and a new line; the first line tells the values a row."""

KEY = re.compile(rb"[0-9a-f]{32}\n")

AT_ONCE = 2**26
"""Bytes of rows that are copied at a time."""


class Growing:
    """Rows that are being computed; opened again, it holds the rows that were whole.

    Args:
        path: of the .npy file; the keys lie beside it, in .keys.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.journal = path, path.with_suffix(".keys")
        self.keys: list[str] = []
        self.dimension = 0  # values a row; 0 while there is none
        if self.journal.is_file():
            self._open()

    def _open(self) -> None:
        """Take what is whole; the rest is cut off."""
        content = self.journal.read_bytes()
        first = content[:LINE]
        if len(first) == LINE and first.strip().isdigit() and self.path.is_file():
            self.dimension = int(first)
            lines = [content[start : start + LINE] for start in range(LINE, len(content), LINE)]
            whole = next((place for place, line in enumerate(lines) if not KEY.fullmatch(line)), len(lines))
            there = max(0, self.path.stat().st_size - HEADER) // (4 * self.dimension)
            self.keys = [line[:-1].decode() for line in lines[: min(whole, there)]]
        os.truncate(self.journal, LINE * (1 + len(self.keys)) if self.dimension else 0)

    def append(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Add rows (n, D), float32; they are on the disk when the call returns.

        Raises:
            OSError: no room; what was there before is kept.
        """
        if not self.dimension:
            self._begin(rows.shape[1])
        _write(self.path, HEADER + 4 * self.dimension * len(self.keys), np.ascontiguousarray(rows, dtype="<f4").data)
        _write(self.journal, LINE * (1 + len(self.keys)), "".join(f"{key}\n" for key in keys).encode())
        self.keys += keys

    def _begin(self, dimension: int) -> None:
        self.path.write_bytes(b"")
        self.journal.write_bytes(b"")
        _write(self.path, 0, header(0, dimension))
        _write(self.journal, 0, f"{dimension:>{LINE - 1}}\n".encode())
        self.dimension = dimension

    def close(self) -> None:
        """Make a whole .npy file of it: the count is written, and what lies behind the last row is cut off."""
        os.truncate(self.path, HEADER + 4 * self.dimension * len(self.keys))
        _write(self.path, 0, header(len(self.keys), self.dimension))

    def array(self) -> np.ndarray:
        """The rows (n, D), mapped; n at least 1."""
        shape = (len(self.keys), self.dimension)
        return np.memmap(self.path, dtype="<f4", mode="r", offset=HEADER, shape=shape)

    def discard(self) -> None:
        """Forget it; the keys go first, for rows without keys are nobody's."""
        self.journal.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


def header(count: int, dimension: int) -> bytes:
    """Of a .npy file of version 1.0 with a matrix of float32."""
    told = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {dimension}), }}".encode()
    size = HEADER - 10
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + told.ljust(size - 1) + b"\n"


def write_chosen(path: Path, sources: Sequence[np.ndarray], which: np.ndarray, places: np.ndarray) -> None:
    """A new .npy file of rows chosen from several arrays.

    Args:
        path: of the file.
        sources: (n, D) each.
        which: (N,), the source of each row.
        places: (N,), its row there.
    """
    dimension = sources[0].shape[1]
    path.write_bytes(b"")
    _write(path, 0, header(len(which), dimension))
    step = max(1, AT_ONCE // (4 * dimension))
    for start in range(0, len(which), step):
        some = slice(start, start + step)
        rows = np.empty((len(which[some]), dimension), dtype="<f4")
        for number, source in enumerate(sources):
            here = which[some] == number
            rows[here] = source[places[some][here]]
        _write(path, HEADER + 4 * dimension * start, rows.data)


def mapped(path: Path, count: int, dimension: int) -> np.memmap:
    """The rows of a whole file; ValueError where it is not what it should be."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not readable ({error}); fill the store anew in another folder") from error
    if not isinstance(rows, np.memmap) or rows.shape != (count, dimension) or rows.dtype != np.dtype("<f4"):
        raise ValueError(f"{path}: must hold {count} x {dimension} float32, got {rows.shape} {rows.dtype}")
    return rows


def _write(path: Path, start: int, content: "bytes | memoryview") -> None:
    """Write at a place of a file; it is on the disk when the call returns."""
    view = memoryview(content).cast("B")
    try:
        with path.open("r+b", buffering=0) as file:
            file.seek(start)
            while len(view):
                view = view[file.write(view) :]
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(f"{path} could not be written ({error}); is the disk full? What was there is kept") from error
