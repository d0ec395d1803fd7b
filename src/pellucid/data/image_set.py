"""A set of pictures, with labels where it has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pellucid.geometry import Geometry

from .pictures import to_image
from .sources import Source


@dataclass(frozen=True)
class ClassLabel:
    """How a set names one of its classes; at least one of the three is given."""

    name: str = ""
    id: str = ""  # a key such as a wnid
    index: int | None = None  # a number the set itself gives the class

    def __str__(self) -> str:
        return self.name or self.id or str(self.index)


@dataclass(frozen=True)
class Item:
    """One picture of a set."""

    file: str  # its name as shown and stored, unique in the set
    target: int | None  # position in the set's classes, None when it has no label
    name: str  # its name within its source
    source: int = 0  # position in the set's sources
    details: Mapping[str, str] = field(default_factory=dict)  # other columns of labels.csv


@dataclass(frozen=True)
class Unreadable:
    """A file that was left out, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """Pictures in a fixed order; iterate with `batches`, or read one.

    Fields:
        path: what was opened, as the user wrote it.
        labels: how each class is named; empty when the set has no labels.
        items: the pictures.
        errors: what was found and left out, with reasons.
        split: the split that was chosen, "" when the set has none.
        splits: the splits there were to choose from.
    """

    path: str
    labels: tuple[ClassLabel, ...]
    items: tuple[Item, ...]
    sources: tuple[Source, ...] = field(repr=False)
    errors: tuple[Unreadable, ...] = ()
    split: str = ""
    splits: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the targets."""
        return tuple(str(label) for label in self.labels)

    @property
    def targets(self) -> Tensor:
        """(N,), int64; -1 where an item has no label."""
        return torch.tensor([-1 if item.target is None else item.target for item in self.items], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int, geometry: Geometry | None = None) -> Tensor:
        """One image (C, H, W), uint8; ValueError with the reason when the file cannot be read."""
        item = self.items[index]
        return to_image(self.sources[item.source].read(item.name, geometry), geometry)

    def subset(self, indices: list[int]) -> "ImageSet":
        """The same set with only these items, in this order."""
        return replace(self, items=tuple(self.items[index] for index in indices))
