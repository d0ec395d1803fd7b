"""Descriptor matching: which patch of one picture is which of another, where that is beyond doubt.

D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", International Journal of Computer Vision 60(2),
2004, section 7.1 (the ratio test). https://doi.org/10.1023/B:VISI.0000029664.99615.94
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_range

BLOCK_BYTES = 64 * 2**20
"""What the distances that are held at a time may take; changes the memory, never the result."""


@dataclass(frozen=True)
class Matches:
    """Pairs of descriptors, the surest (smallest ratio) first.

    Fields:
        first: (M,), int64, rows of the first descriptors, each at most once.
        second: (M,), int64, rows of the second.
        distance: (M,), Euclidean, at least 0.
        ratio: (M,), in [0, 1]: this distance over that to the runner-up; small is sure.
    """

    first: Tensor
    second: Tensor
    distance: Tensor
    ratio: Tensor

    def __len__(self) -> int:
        return len(self.first)


@torch.no_grad()
def match(
    first: Tensor,
    second: Tensor,
    places: Tensor | None = None,
    *,
    ratio: float = 0.8,
    mutual: bool = True,
    apart: float = 0.0,
) -> Matches:
    """Pair descriptors of two pictures with their nearest ones, and keep the pairs beyond doubt; zeros match nothing.

    On a dense grid the runner-up is often the neighbour of the patch it is compared with, and as near: with the places
    of the second descriptors and `apart`, the runner-up is the nearest one that lies elsewhere.

    Args:
        first: (P, D), float, descriptors of one picture, as from `dense_sift`.
        second: (Q, D), float, those of the other.
        places: (Q, 2), where the second descriptors lie, in pixels; needed with apart.
        ratio: the nearest is at most so many times as far as the runner-up, in (0, 1]; 1 keeps all.
        mutual: whether the second's nearest must be the first in turn.
        apart: the runner-up lies more than so many pixels from the nearest (the larger of down and across), from 0.

    Returns:
        Matches, which may be none.

    Raises:
        ValueError: descriptors are not finite, of no or different widths, or an option is out of its range.
    """
    _check(first, second, places, ratio=ratio, apart=apart)
    own, other = (each.any(dim=1).nonzero()[:, 0] for each in (first, second))  # the rows that are not zeros
    if not len(own) or not len(other):
        nothing = first.new_zeros(0)
        return Matches(own[:0], other[:0], nothing, nothing)
    spots = None if places is None or apart == 0 else places[other].to(first)
    near, distance, next_, back = _nearest(first[own], second[other], spots, apart)
    surely = torch.where(next_ > 0, distance / next_, 1.0).clamp(max=1)  # (p,); of two zeros none is nearer
    kept = surely <= ratio
    if mutual:
        kept &= back[near] == torch.arange(len(own), device=own.device)
    found = kept.nonzero()[:, 0]
    found = found[surely[found].argsort(stable=True)]
    return Matches(own[found], other[near[found]], distance[found], surely[found])


def _check(first: Tensor, second: Tensor, places: Tensor | None, *, ratio: float, apart: float) -> None:
    for name, each in (("first", first), ("second", second)):
        if not isinstance(each, Tensor) or not each.is_floating_point() or each.ndim != 2 or not each.shape[1]:
            given = f"{each.dtype} {tuple(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
            raise ValueError(f"{name} must be float descriptors (P, D) of one picture, got {given}")
        if not bool(torch.isfinite(each).all()):
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"first and second must be equally wide, got {first.shape[1]} and {second.shape[1]}")
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must be in (0, 1], got {ratio}")
    check_range("apart", apart, 0)
    if apart and places is None:
        raise ValueError("places must be given with apart: where the second descriptors lie")
    if places is not None and places.shape != (len(second), 2):
        raise ValueError(f"places must be ({len(second)}, 2), one for each of second, got {tuple(places.shape)}")


def _nearest(
    first: Tensor, second: Tensor, spots: Tensor | None, apart: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of each first: the nearest second, how far, how far the runner-up; of each second: the nearest first."""
    block = max(1, BLOCK_BYTES // (len(second) * first.element_size()))
    lengths = second.square().sum(dim=1)  # (q,)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    least = torch.full_like(lengths, float("inf"))
    back = torch.zeros(len(second), dtype=torch.int64, device=second.device)
    for start in range(0, len(first), block):
        some = first[start : start + block]
        squares = torch.addmm(lengths, some, second.T, alpha=-2).add_(some.square().sum(dim=1, keepdim=True))  # (b, q)
        low, row = squares.min(dim=0)
        back = torch.where(low < least, row + start, back)
        least = torch.minimum(low, least)
        nearest = squares.argmin(dim=1)
        if spots is None:
            squares.scatter_(1, nearest[:, None], float("inf"))
        else:
            down, across = ((axis[nearest][:, None] - axis).abs() <= apart for axis in spots.unbind(dim=1))  # (b, q)
            squares.masked_fill_(down & across, float("inf"))
        rest, rival = squares.min(dim=1)
        runner_up = _distance(some, second[rival]).masked_fill_(rest.isinf(), float("inf"))
        found.append((nearest, _distance(some, second[nearest]), runner_up))
    nearest, distance, runner_up = (torch.cat(parts) for parts in zip(*found, strict=True))
    return nearest, distance, runner_up, back


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """Row by row (b,), by their differences: products of what is nearly equal round off."""
    far: Tensor = torch.linalg.vector_norm(first - second, dim=1)
    return far
