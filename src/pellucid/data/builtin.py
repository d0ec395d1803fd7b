"""Data sets with a name: those that come with the installed packages, and published ones found on this machine."""

from typing import Literal, overload

import numpy as np

from pellucid.checks import check_choice

from ._builtin_downloads import DOWNLOADS, builtin_download
from ._builtin_tables import builtin_table
from .image_set import ClassLabel, ImageSet, Item
from .sources import Array
from .tables import Table

IMAGES = ("digits", *DOWNLOADS)
TABLES = ("iris", "circles", "moons")


@overload
def builtin(name: Literal["iris", "circles", "moons"], *, split: str = ..., seed: int = ...) -> Table: ...


@overload
def builtin(name: Literal["digits", "cifar10", "mnist"], *, split: str = ..., seed: int = ...) -> ImageSet: ...


@overload
def builtin(name: str, *, split: str = ..., seed: int = ...) -> ImageSet | Table: ...


def builtin(name: str, *, split: str = "test", seed: int = 0) -> ImageSet | Table:
    """A data set by name: pictures or a table, split by class or as published.

    Args:
        name: digits (8x8 gray), cifar10, mnist; iris (150 rows of 4), circles or moons (points in the plane, drawn).
        split: train, test or all; one fifth is test, of circles and moons 2,000 points besides 200 to train on.
        seed: of the split, and of the points of circles and moons.

    Returns:
        The set; its files or rows are named by position in the original order, so splits never share one.

    Raises:
        ValueError: an unknown name or split, or cifar10 or mnist neither on this machine nor to be downloaded.
    """
    check_choice("name", name, [*IMAGES, *TABLES])
    check_choice("split", split, ["train", "test", "all"])
    if name in DOWNLOADS:
        return builtin_download(name, split)
    return builtin_table(name, split, seed) if name in TABLES else _digits(split, seed)


def _digits(split: str, seed: int) -> ImageSet:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), ink is bright
    every = np.arange(len(pixels))
    train, test = train_test_split(every, test_size=0.2, stratify=digits.target, random_state=seed)
    chosen = np.sort({"train": train, "test": test, "all": every}[split])
    items = tuple(Item(f"digits/{i:04d}.png", int(digits.target[i]), str(i)) for i in chosen)
    labels = tuple(ClassLabel(str(number), index=number) for number in range(10))
    return ImageSet("digits", labels, items, (Array(pixels),), (), split, ("train", "test"))
