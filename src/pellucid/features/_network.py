"""A network as a source of features: read at its layers, in one pass that ends behind the last of them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_eval
from pellucid.geometry import Geometry
from pellucid.models import Grid, Model, evaluate, unvaried, weights_hash
from pellucid.models.grids import grid_of
from pellucid.models.pooling import POSTS, check_pool
from pellucid.models.taps import Tap

from ._pooled import own_rows
from .column import Column


class Reader(nn.Module):
    """Maps images (N, C, H, W) to rows (N, D1 + D2 + ...), float32, of several columns side by side.

    Args:
        model: in eval mode.
        columns: what to read.
    """

    def __init__(self, model: nn.Module, columns: Sequence[Column]) -> None:
        super().__init__()
        for column in columns:
            check_pool(column.pool)
            check_choice("post", column.post, POSTS)
        places = list(dict.fromkeys(column.layer for column in columns))
        if not places:
            raise ValueError("layers must name at least one layer, got none")
        self.tap = Tap(model, places, read=self._read)
        self.of_place = {place: [column for column in columns if column.layer == place] for place in places}
        self.columns = tuple(column for place in places for column in self.of_place[place])
        self.grids: dict[tuple[Any, ...], Grid | None] = {}
        self.widths: dict[Column, int] = {}
        self.image: tuple[int, ...] = ()
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """(N, D1 + D2 + ...), in the order of `columns`."""
        fed = _fed(self.tap.model, images)
        self.image = tuple(fed.shape[1:])
        found = self.tap(fed)
        short = next((place for place in found if len(found[place]) != len(images)), None)
        if short is not None:
            raise ValueError(f"layer {short!r} must give a row an image, got {len(found[short])} for {len(images)}")
        return torch.cat([found[place] for place in self.of_place], dim=1)

    def _read(self, place: str, output: Tensor) -> Tensor:
        """The rows of all columns of a layer, side by side."""
        key = (place, *output.shape[1:], *self.image)
        if key not in self.grids:
            self.grids[key] = grid_of(self.tap.model, output.shape, self.image) if output.ndim in {3, 4} else None
        rows = [own_rows(output, one.pool, one.post, self.grids[key], place) for one in self.of_place[place]]
        self.widths |= {column: part.shape[1] for column, part in zip(self.of_place[place], rows, strict=True)}
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

    def split(self, rows: Tensor) -> dict[Column, Tensor]:
        """Rows (N, D1 + D2 + ...) taken apart again."""
        parts = torch.split(rows, [self.widths[column] for column in self.columns], dim=1)
        return dict(zip(self.columns, (part.contiguous() for part in parts), strict=True))


def _fed(model: nn.Module, images: Tensor) -> Tensor:
    """Gray images (N, 1, H, W) with their channel repeated, where the model takes three."""
    if isinstance(model, Model) and images.shape[1] == 1 and model.geometry.channels == 3:
        return images.expand(-1, 3, -1, -1)
    return images


class Network:
    """A model's layers, as a `FeatureSource`.

    Args:
        model: a Model, in eval mode.
    """

    def __init__(self, model: Model) -> None:
        if not isinstance(model, Model):
            raise ValueError(
                f"model must be a pellucid.models.Model, which knows how its images are read, got a "
                f"{type(model).__name__}"
            )
        check_eval(model)
        self.model = model
        self.readers: dict[tuple[Column, ...], Reader] = {}

    @property
    def about(self) -> Mapping[str, Any]:
        """See FeatureSource."""
        frame, network = self.model.geometry, self.model.network
        return {
            "kind": "network",
            "name": str(self.model.source.get("spec") or type(network).__name__),
            "weights": weights_hash(network),
            "modules": _hash(repr(network)),
            "preprocessing": {
                "size": list(frame.size),
                "resize": list(frame.resize) if isinstance(frame.resize, tuple) else frame.resize,
                "interpolation": frame.interpolation,
                "channels": frame.channels,
                "mean": self.model.mean.flatten().tolist(),
                "std": self.model.std.flatten().tolist(),
            },
        }

    @property
    def geometry(self) -> Geometry:
        """See FeatureSource."""
        return self.model.geometry

    @property
    def images_a_pass(self) -> int:
        """See FeatureSource."""
        return 32 if self.model.mean.device.type == "cpu" else 128

    def rows(self, images: Tensor, columns: Sequence[Column]) -> dict[Column, Tensor]:
        """See FeatureSource."""
        wanted = tuple(columns)
        reader = self.readers.get(wanted) or self.readers.setdefault(wanted, Reader(self.model, wanted))
        every = evaluate(
            reader, unvaried(images.to(self.model.mean.device)), lambda found, _rows: found, label="reading features"
        )
        return reader.split(every[0].cpu())


def _hash(text: str) -> str:
    """Of a network's modules as it tells them, without the places in memory that some tell."""
    return hashlib.sha256(re.sub(r"0x[0-9a-fA-F]+", "", text).encode()).hexdigest()
