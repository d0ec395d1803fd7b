"""Where the features come from, compared: the trained network, the same untrained, and the pixels themselves."""

from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pellucid.data import batches
from pellucid.features.probes import OriginScore, compare_origins, origin_rows

from ._transfer_sets import Rows

if TYPE_CHECKING:
    from pellucid.models import Model

MOST, ROOM = 1000, 2**30
"""Pictures of either side, a seeded sample of more; and the bytes that both may take, so fewer of large ones."""

NAMES = {"pretrained": "the trained network", "pixels": "raw pixels", "random": "the network with random weights"}


@dataclass(frozen=True)
class Origins:
    """The same pictures told by their nearest neighbour in several spaces."""

    layer: str
    train: int  # pictures
    test: int
    scores: tuple[OriginScore, ...]


def origins_of(model: "Model", rows: Rows, layer: str, args: Namespace) -> Origins:
    """Nearest neighbours on a sample of both sides."""
    height, width = model.geometry.size
    most = max(2, min(MOST, ROOM // (8 * model.geometry.channels * height * width)))
    source = torch.Generator().manual_seed(args.seed)
    sides = [some[torch.randperm(len(some), generator=source)[:most]].sort().values for some in (rows.train, rows.test)]
    train, test = (_images(model, rows, side) for side in sides)
    spaces = origin_rows(model, train, test, layer, pool=args.pool, draws=args.origins, generator=source)
    labels = [rows.targets[side] for side in sides]
    return Origins(layer, len(train), len(test), compare_origins(spaces, *labels))


def _images(model: "Model", rows: Rows, chosen: Tensor) -> Tensor:
    """(n, C, H, W), where the model is, in the order chosen."""
    by_set: dict[int, list[tuple[int, int]]] = {}
    for place, row in enumerate(chosen.tolist()):
        some, number = rows.place(row)
        by_set.setdefault(id(some), []).append((place, number))
    frame = model.geometry
    images = torch.empty(len(chosen), frame.channels, *frame.size)
    for either in (rows.sets.train, rows.sets.test):
        if either is not None and id(either) in by_set:
            ends = by_set[id(either)]
            for batch in batches(either.subset([number for _, number in ends]), frame):
                if batch.errors:
                    raise ValueError(f"{batch.errors[0].file}: {batch.errors[0].reason}")
                images[[ends[index][0] for index in batch.indices.tolist()]] = batch.images()
    return images.to(model.mean.device)
