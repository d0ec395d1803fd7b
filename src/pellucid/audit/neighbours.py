"""Which picture that was learned from is nearest, of a class; and which is the same as one asked about."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.features import Index, Pairs, confirmed, near_duplicates

NEAR, SHARE, ASKED = 0.04, 0.1, 500
"""Near-duplicates: a cosine distance of at most this, and at most this share of the usual distance of the nearest,
which is the median of so many pictures. The first suits networks trained on photographs; features that set pictures
less apart than these need the second."""

ROUNDING = 1e-6
"""Of features of equal pictures that were passed in other batches, at most."""


COMPARED = 4000
"""Pairs whose pictures are compared, the nearest."""


@dataclass(frozen=True)
class NearestOfClass:
    """For each picture asked about, the nearest of those known that are of one class."""

    rows: Tensor  # (Q,), int64, of the known; -1 where none is of the class
    distances: Tensor  # (Q,), float64, cosine, in [0, 2]; inf where the row is -1


def near_limit(known: Tensor, asked: Tensor) -> float:
    """The cosine distance up to which two pictures are near-duplicates: less than pictures of a kind usually have.

    Args:
        known: (N, D), float, finite.
        asked: (Q, D), float, finite.
    """
    some = asked[torch.linspace(0, len(asked) - 1, min(ASKED, len(asked))).long()]
    usual = float(Index(distance="cosine").fit(known).search(some, k=1).distances[:, 0].median())
    return max(ROUNDING, min(NEAR, SHARE * usual))


@dataclass(frozen=True)
class SamePictures:
    """Pictures on both sides, the nearest pairs first."""

    pairs: Pairs  # rows of the known and of those asked about
    is_listed: bool  # False where too many are near in features to compare any
    notes: tuple[str, ...]  # what was not compared, and why


def same_pictures(
    known: Tensor,
    asked: Tensor,
    read: Callable[[int], Tensor],
    read_asked: Callable[[int], Tensor],
    *,
    threshold: float | None = None,
) -> SamePictures:
    """Pairs that are near in features and whose pictures themselves agree: the same but for size, crop or compression.

    Args:
        known: (N, D), float, finite.
        asked: (Q, D), float, finite.
        read: from a known row to its image (C, H, W), in [0, 1].
        read_asked: likewise of those asked about.
        threshold: the cosine distance up to which pictures are compared; none takes `near_limit`.
    """
    limit = near_limit(known, asked) if threshold is None else threshold
    try:
        near = near_duplicates(known, asked, threshold=limit)
    except ValueError as error:  # more pairs than can be looked at: the features tell too little; the page repeats it
        none = torch.zeros(0, dtype=torch.int64)
        told = f"pictures on both sides could not be listed: {error}"
        return SamePictures(Pairs(none, none, none.double(), limit), is_listed=False, notes=(told,))
    told = f"of {len(near):,} pairs near in features the {COMPARED:,} nearest were compared"
    some = Pairs(near.first[:COMPARED], near.second[:COMPARED], near.distances[:COMPARED], limit)
    notes = (told,) if len(near) > COMPARED else ()
    return SamePictures(confirmed(some, read, read_asked), is_listed=True, notes=notes)


def nearest_of_class(known: Tensor, labels: Tensor, asked: Tensor, classes: Tensor) -> NearestOfClass:
    """The nearest known row of a class, for each row asked about.

    Args:
        known: (N, D), float, finite.
        labels: (N,), int64, the class of each.
        asked: (Q, D), float, finite.
        classes: (Q,), int64, the class in which to look.
    """
    rows = torch.full((len(asked),), -1, dtype=torch.int64)
    distances = torch.full((len(asked),), torch.inf, dtype=torch.float64)
    for one in torch.unique(classes).tolist():
        own, mine = (labels == one).nonzero()[:, 0], (classes == one).nonzero()[:, 0]
        if len(own):
            found = Index(distance="cosine").fit(known[own]).search(asked[mine], k=1)
            rows[mine], distances[mine] = own[found.rows[:, 0]], found.distances[:, 0]
    return NearestOfClass(rows, distances)
