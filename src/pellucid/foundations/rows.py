"""Rows to learn from: a small set by its name, or a folder of pictures, each picture a row of its pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid import data
from pellucid.geometry import Geometry

from .mlp_study import Labelled

TABLES = ("circles", "moons", "iris")


@dataclass(frozen=True)
class Rows:
    """A set in two parts."""

    train: Labelled
    test: Labelled
    classes: tuple[str, ...]
    columns: tuple[str, ...]  # d names


def rows(name: str, *, side: int = 28, seed: int = 0) -> Rows:
    """Open a set; float64.

    Args:
        name: circles, moons, iris, digits, or a folder of pictures with a train and a test part.
        side: pixels of a picture's side, for a folder.
        seed: of the draw, or of the split.

    Raises:
        ValueError: no such set, or a folder without classes or without one of the parts.
    """
    if name in TABLES:
        parts = [data.builtin(name, split=split, seed=seed) for split in ("train", "test")]
        tables = [part for part in parts if isinstance(part, data.Table)]
        train, test = (Labelled(table.values, table.targets) for table in tables)
        return Rows(train, test, tables[0].classes, tables[0].columns)
    sets = [_pictures(name, split, seed) for split in ("train", "test")]
    side = 8 if name == "digits" else side
    train, test = (_flat(images, side) for images in sets)
    return Rows(train, test, sets[0].classes, tuple(f"pixel {number}" for number in range(side * side)))


def _pictures(name: str, split: str, seed: int) -> data.ImageSet:
    if name == "digits":
        digits = data.builtin("digits", split=split, seed=seed)
        if isinstance(digits, data.ImageSet):
            return digits
    try:
        return data.open_images(name, split=split)
    except ValueError as error:
        raise ValueError(f"data must be circles, moons, iris, digits or a folder of pictures: {error}") from error


def _flat(images: data.ImageSet, side: int) -> Labelled:
    """Gray pixels in [0, 1], row by row; pictures that cannot be read are left out."""
    read: list[Tensor] = []
    kept: list[Tensor] = []
    for batch in data.batches(images, Geometry((side, side), channels=1), batch_size=512):
        if len(batch.indices):
            read.append(batch.pixels.flatten(1))
            kept.append(batch.indices)
    if not read:
        raise ValueError(f"data must have pictures that can be read, got none in {images.path}")
    return Labelled(torch.cat(read).double() / 255, images.targets[torch.cat(kept)])
