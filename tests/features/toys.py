"""A source of features that is no network: what a store asks of one, and how often it was asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.data import ImageSet, open_images
from pellucid.features import Column, FeatureSource, Filled, Store
from pellucid.geometry import Geometry


class Toy:
    """The means of each channel ("mean"), and the first pixels ("pixels"); counts the images it was given."""

    geometry = Geometry((4, 4))
    images_a_pass = 3

    def __init__(self, name: str = "toy", weights: str = "abcdef0123") -> None:
        self.about: Mapping[str, Any] = {"kind": "toy", "name": name, "weights": weights, "size": (4, 4)}
        self.given = 0
        self.asked: list[tuple[str, int]] = []  # (column, images) of each call

    def rows(self, images: Tensor, columns: Sequence[Column]) -> dict[Column, Tensor]:
        self.given += len(images)
        self.asked += [(column.layer, len(images)) for column in columns]
        return {column: made(images, column.layer) for column in columns}


def made(images: Tensor, layer: str) -> Tensor:
    """The rows of a column."""
    if layer not in {"mean", "pixels", "nan"}:
        raise ValueError(f"layer {layer!r} is not one of mean, pixels, nan")
    if layer == "nan":
        return torch.where(images[:, 0, 0, :1] > 0.5, torch.nan, 1.0)
    return images.mean(dim=(2, 3)) if layer == "mean" else images.flatten(1)[:, :10].contiguous()


MEAN, PIXELS = Column("mean", "flat"), Column("pixels", "flat")


def images_of(images: ImageSet, geometry: Geometry = Toy.geometry) -> Tensor:
    return torch.stack([images.read(place, geometry).float() / 255 for place in range(len(images))])


def filled(store: Store, folder: Path, source: FeatureSource | None = None, layers: str = "mean") -> Filled:
    columns = [Column(layer, "flat") for layer in layers.split(",")]
    return store.fill_from(source or Toy(), open_images(folder), columns)


def is_right(store: Store, images: ImageSet, layers: str = "mean") -> None:
    """Also as it is read anew."""
    for one in (store, Store(store.folder)):
        assert one.files == tuple(item.file for item in images.items)
        assert torch.equal(one.targets, images.targets)
        assert one.classes == images.classes
        for layer in layers.split(","):
            wanted = made(images_of(images), layer).numpy()
            rows = one.read(layer)
            assert isinstance(rows, np.memmap)
            assert rows.dtype == np.float32
            np.testing.assert_array_equal(rows, wanted)


def leftovers(folder: Path) -> list[str]:
    told = json.loads((folder / "store.json").read_text())
    known = {"store.json", ".lock", told["index"], *(one["file"] for one in told["columns"])}
    return sorted(path.name for path in folder.iterdir() if path.name not in known)
