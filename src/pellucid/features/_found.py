"""What a search among indexed pictures finds, and which of it is the picture that was asked about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid.data import Unreadable

from .store import Store

SAME = 1e-5
"""Features that differ by no more, relative to their length, are those of one image: passes in other batches round
otherwise."""


@dataclass(frozen=True)
class Found:
    """The nearest pictures of each picture asked about, the nearest first."""

    asked: Tensor  # (Q,), int64, places of the pictures asked about; those that could not be read are left out
    rows: Tensor  # (Q, k), int64, rows of the index; -1 where an approximate search found fewer
    distances: Tensor  # (Q, k), float64; exactly 0 for the picture itself
    itself: Tensor  # (Q,), int64, the row of the picture asked about; -1 where it is not in the index
    same_file: Tensor  # (Q,), bool: that row's file is the same, byte by byte, not only the same to the network
    errors: tuple[Unreadable, ...]


def itself_of(places: Tensor, far: Tensor, names: Sequence[tuple[str, str]], store: Store) -> tuple[Tensor, Tensor]:
    """(Q,), (Q,): the row at distance 0 that is the picture, and whether its file is the same.

    Before others come rows of the same file, and of these, or where there is none, of the same name.
    """
    files, hashes = store.files, store.hashes
    found, is_same = [], []
    for (key, name), row, distances in zip(names, places.tolist(), far.tolist(), strict=True):
        zero = [place for place, distance in zip(row, distances, strict=True) if distance == 0]
        equal = [place for place in zero if hashes[place] == key]
        named = [place for place in equal or zero if name and Path(files[place]).name == Path(name).name]
        found.append((named or equal or zero or [-1])[0])
        is_same.append(bool(equal))
    return torch.tensor(found, dtype=torch.int64), torch.tensor(is_same, dtype=torch.bool)


def rounding(distance: str, rows: Tensor) -> Tensor:
    """(Q,), float64: distances that mean nothing but rounding."""
    wide = rows.double()
    if distance == "cosine":
        return torch.full((len(rows),), SAME**2 / 2, dtype=torch.float64)
    return SAME * wide.abs().sum(dim=1) if distance == "l1" else SAME**2 * wide.square().mean(dim=1)


def left_out(places: Tensor, far: Tensor, itself: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The first k of each row without itself."""
    order = torch.sort((places == itself[:, None]).int(), dim=1, stable=True).indices[:, :k]
    return places.gather(1, order), far.gather(1, order)
