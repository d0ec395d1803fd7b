"""What every layout of an image set comes to: pictures by split, with a class label each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from .image_set import ClassLabel, Item, Unreadable
from .pictures import SUFFIXES
from .sources import Source

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
class Layout:
    """Everything a layout found."""

    found: tuple[Found, ...]
    sources: tuple[Source, ...]
    errors: tuple[Unreadable, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits met, train first."""
        met = {one.split for one in self.found} - {""}
        return tuple(sorted(met, key=lambda split: (["train", "val", "test"].index(split), split) if split in SPLITS else (9, split)))

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


def is_picture(file: str) -> bool:
    """Whether a file's name says it is a picture."""
    return PurePosixPath(file).suffix.lower() in SUFFIXES


def unreadable(pairs: Iterable[tuple[str, str]]) -> tuple[Unreadable, ...]:
    """Unreadable from (file, reason) pairs."""
    return tuple(Unreadable(file, reason) for file, reason in pairs)
