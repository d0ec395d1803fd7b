"""Writing without losing anything: a folder appears whole or not at all, and nothing foreign is replaced."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_folder(path: str | Path, *, force: bool = False, mark: str = "record.json") -> Iterator[Path]:
    """A temporary neighbour of path to write into; it takes path's place when the block ends well.

    Args:
        path: the folder to make; its parents are made too.
        force: replace a folder that pellucid made before.
        mark: a file that shows that a folder was made by pellucid; it must be written in the block.

    Raises:
        ValueError: path is a file, or exists and may not be replaced.
    """
    target = Path(path)
    check_new_folder(target, force=force, mark=mark)
    temporary = target.parent / f".{target.name}.{os.urandom(4).hex()}.part"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"{target} cannot be made ({error.strerror})") from error
    try:
        yield temporary
        assert (temporary / mark).is_file(), f"{mark} was not written"
        _take_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(path: str | Path, *, force: bool = False, mark: str = "record.json") -> None:
    """Refuse a path that new_folder could not make; asked before long work starts."""
    target = Path(path)
    if target.name in {"", ".", ".."}:
        raise ValueError(f"output folder must have a name of its own, got {str(path)!r}")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{target} exists and is not a folder; choose another name")
    above = next((folder for folder in target.parents if folder.exists()), target.parent)
    if not above.is_dir():
        raise ValueError(f"{target} cannot be made, for {above} is not a folder")
    if target.is_dir() and any(target.iterdir()):
        if not force:
            raise ValueError(f"{target} exists already; choose another folder, or replace it with --force")
        if not (target / mark).is_file():
            raise ValueError(f"{target} was not made by pellucid (it has no {mark}); --force does not replace it")


def write_json(path: Path, value: Any) -> None:
    """Write value as readable JSON (UTF-8, no NaN), flushed to disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def _take_place(temporary: Path, target: Path) -> None:
    """Move temporary to target; what was there before is removed last."""
    old = temporary.with_suffix(".old")
    if target.exists():
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
