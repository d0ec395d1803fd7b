"""Writing without losing anything: a folder appears whole or not at all, and nothing foreign is replaced."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_folder(
    path: str | Path, *, force: bool = False, mark: str = "record.json", command: str | None = None
) -> Iterator[Path]:
    """A temporary neighbour of path to write into; it takes path's place when the block ends well.

    Args:
        path: the folder to make; its parents are made too.
        force: replace a folder that pellucid made before.
        mark: a file with a record of pellucid; it must be written in the block.
        command: only a folder made by this command is replaced; None: by any.

    Raises:
        ValueError: path is a file, or exists and may not be replaced.
    """
    target = Path(path)
    check_new_folder(target, force=force, mark=mark, command=command)
    temporary = target.parent / f".{target.name}.{os.urandom(4).hex()}.part"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"{target} cannot be made ({error.strerror})") from error
    try:
        yield temporary
        _list_files(temporary, mark)
        _take_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(
    path: str | Path, *, force: bool = False, mark: str = "record.json", command: str | None = None
) -> None:
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
        if not _is_ours(target / mark, command):
            maker = f"pellucid {command}" if command else "pellucid"
            raise ValueError(f"{target} was not made by {maker} (it has no {mark} of it); --force does not replace it")
        foreign = sorted(_files(target) - set(json.loads((target / mark).read_text(encoding="utf-8")).get("files", [])))
        if foreign:
            raise ValueError(f"{target} holds {foreign[0]}, which pellucid did not make; move it away before --force")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A neighbour to write to, which takes path's place when the block ends well; safe against a crash of the machine.

    Raises:
        OSError: it could not be written; path is as it was.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch's own writer, when the disk is full
        raise OSError(f"{path} could not be written ({error}); is the disk full? What was there is kept") from error
    finally:
        new.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write value as readable JSON (UTF-8, no NaN); names that are no UTF-8 keep their bytes."""
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError with the path when the file cannot be read or holds another thing."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable ({error})") from error
    if not isinstance(told, dict):
        raise ValueError(f"{path}: must hold an object")
    return told


def _files(folder: Path) -> set[str]:
    """Every file below a folder, by relative path."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def _list_files(folder: Path, mark: str) -> None:
    """Put into the mark what was written, so that nothing else is ever replaced."""
    told = json.loads((folder / mark).read_text(encoding="utf-8"))
    write_json(folder / mark, {**told, "files": sorted(_files(folder))})


def _is_ours(mark: Path, command: str | None) -> bool:
    """Whether a file is a record of pellucid, or holds one, of that command."""
    try:
        told = json.loads(mark.read_text(encoding="utf-8"))
        record = told.get("record", told)
        return "pellucid" in record["versions"] and command in {None, record["command"]}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _take_place(temporary: Path, target: Path) -> None:
    """Move temporary to target; what was there before is removed last."""
    old = temporary.with_suffix(".old")
    try:
        if target.exists():
            target.rename(old)
        temporary.rename(target)
    except BaseException:  # also Ctrl-C: what was there must come back
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
