"""What every layout of an image set comes to: pictures by split, with a class label each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import splitext

from .image_set import ClassLabel, Item, Unreadable
from .pictures import SUFFIXES
from .sources import Folder, Source, Zip

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Folder and zip names that mean a split."""


@dataclass(frozen=True)
class Found:
    """One picture before the class labels are numbered."""

    file: str
    name: str
    label: ClassLabel | None
    split: str = ""
    source: int = 0
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """One file that is no part of the set, and why."""

    file: str
    reason: str
    split: str = ""  # "" when it is not known, or in none


@dataclass(frozen=True)
class Layout:
    """Everything a layout found."""

    found: tuple[Found, ...]
    sources: tuple[Source, ...]
    errors: tuple[LeftOut, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits met, train first."""
        met = {one.split for one in self.found} - {""}
        first = [split for split in ("train", "val", "test") if split in met]
        return (*first, *sorted(met.difference(first)))

    def labels(self) -> tuple[ClassLabel, ...]:
        """Every class of every split: by its own number where it has one, else by name."""
        labels = {one.label for one in self.found if one.label is not None}
        return tuple(sorted(labels, key=lambda label: (label.index is None, label.index or 0, label.name, label.id)))

    def items(self, split: str) -> tuple[Item, ...]:
        """The pictures of a split, or of all with "all"."""
        position = {label: number for number, label in enumerate(self.labels())}
        return tuple(
            Item(
                one.file,
                None if one.label is None else position[one.label],
                one.name,
                one.source,
                dict(one.details),
            )
            for one in self.found
            if split in {"all", one.split}
        )

    def left_out(self, split: str) -> tuple[Unreadable, ...]:
        """What a split leaves out: without that of another split, with the pictures that have none."""
        others = set() if split == "all" else {*self.splits} - {split}
        told = [Unreadable(one.file, one.reason) for one in self.errors if one.split not in others]
        if split not in {"all", ""}:
            told += [Unreadable(one.file, "has no split") for one in self.found if not one.split]
        return tuple(told)


def pictures_of(home: Folder | Zip, member: str) -> tuple[Folder | Zip, Callable[[str], tuple[str | None, str]]]:
    """Where the pictures of a table lie: images.zip beside it, else its own folder or zip.

    Returns:
        The source, and a function from a file's name in the table to its name in the source, as written or
        below images/; or to None and the rest of the sentence "listed in ...".
    """
    archive = home.path / "images.zip"
    source = Zip(archive) if isinstance(home, Folder) and archive.is_file() else home
    start = "" if source is not home else member[: member.rfind("/") + 1]
    there, refused = set(source.listing.files), dict(source.listing.refused)

    def find(file: str) -> tuple[str | None, str]:
        plain = PurePosixPath(file).as_posix() if file else ""
        names = (f"{start}{plain}", f"{start}images/{plain}")
        name = next((name for name in names if name in there), None)
        reason = next((f", but {refused[name]}" for name in names if name in refused), ", but not there")
        return name, "" if name else reason

    return source, find


def is_picture(file: str) -> bool:
    """Whether a file's name says it is a picture."""
    return splitext(file)[1].lower() in SUFFIXES


def unreadable(pairs: Iterable[tuple[str, str]]) -> tuple[Unreadable, ...]:
    """Unreadable from (file, reason) pairs."""
    return tuple(Unreadable(file, reason) for file, reason in pairs)
