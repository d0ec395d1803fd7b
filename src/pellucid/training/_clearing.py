"""Replacing a run: only one that nobody is training, only what pellucid made, and only once the new one has learned.

Until then the old one stands beside it under a hidden name.
"""

import json
import os
import re
import shutil
from pathlib import Path

OURS = re.compile(
    r"(record|model|results|config|metrics|table|index|last|weights(-\w+)?|figures/[\w-]+|tensorboard/events[\w.-]*)"
    r"\.?(json|jsonl|yaml|csv|html|pt|safetensors|png|svg)?|logs/[\w.,=+-]+\.txt|\.lock"
    r"|snapshots/epoch-\d+/(model\.json|weights\.safetensors)"
)
"""The files a run may hold; a folder with others is not replaced."""

HALF = re.compile(r"record\.json|\.(record\.json|config\.yaml)\.\d+\.part")
"""The files that making a run writes before it is one."""


def set_aside(place: Path, *, force: bool) -> None:
    """Rename the run that stands in a folder, so that another can be made there.

    Raises:
        ValueError: force is False, a process is training the run, or the folder holds what pellucid did not make.
    """
    if not force:
        raise ValueError(f"{place} holds a run already: go on with --resume, replace it with --force, or name another")
    if is_held(place):
        raise ValueError(f"{place}: another process is training this run; --force does not replace it")
    foreign = _foreign(place)
    if foreign:
        raise ValueError(f"{place} holds {foreign[0]}, which pellucid did not make; move it away before --force")
    place.rename(_aside(place))


def give_back(place: Path) -> bool:
    """Put the run that was set aside back, in place of a new one that came to nothing; False where there is none."""
    if not is_replacing(place):
        return False
    if place.is_dir():
        shutil.rmtree(place)
    _aside(place).rename(place)
    return True


def mend(place: Path) -> None:
    """Do what a process that was killed while it replaced the run could not do any more."""
    if not is_replacing(place) or is_held(place):
        return
    settle(place)
    if is_replacing(place) and not has_learned(place) and not _foreign(place):
        give_back(place)


def is_replacing(place: Path) -> bool:
    """Whether a run that stood there is set aside still."""
    return _aside(place).is_dir()


def settle(place: Path) -> None:
    """Forget the run that was set aside, where the new one has learned something."""
    if is_replacing(place) and has_learned(place):
        shutil.rmtree(_aside(place))


def has_learned(place: Path) -> bool:
    """Whether there is something to go on from: a checkpoint or results, of the run or of one in it."""
    return any(next(place.rglob(name), None) is not None for name in ("last.pt", "results.json"))


def is_half_made(place: Path) -> bool:
    """Whether a folder holds nothing but what is left of a process that was killed while it made a run there."""
    names = {path.name for path in place.iterdir()} if place.is_dir() else set()
    if not names or not all(HALF.fullmatch(name) for name in names):
        return False
    if "record.json" not in names:
        return True
    try:
        told = json.loads((place / "record.json").read_text(encoding="utf-8"))
        return bool(told["command"] == "train" and "pellucid" in told["versions"])
    except (ValueError, TypeError, LookupError):
        return False


def is_held(folder: Path) -> bool:
    """Whether a process is training the run there."""
    from filelock import FileLock, Timeout

    lock = folder / ".lock"
    if not lock.is_file() or not os.access(lock, os.W_OK):
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _foreign(place: Path) -> list[str]:
    """Files that pellucid did not make, by their names within their runs."""
    names = sorted(_own_name(path, place) for path in place.rglob("*") if not path.is_dir())
    return [name for name in names if not OURS.fullmatch(name) and not name.endswith(".part")]


def _own_name(path: Path, place: Path) -> str:
    """A file's name within its run, which may stand in a folder of another run, as those of a ladder do."""
    own = next(above for above in path.parents if above == place or (above / "config.yaml").is_file())
    return path.relative_to(own).as_posix()


def _aside(place: Path) -> Path:
    """Where a run stands while another is being made in its place."""
    return place.parent / f".{place.name}.before"
