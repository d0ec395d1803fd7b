"""Spread: how the scores of known images and of those from elsewhere lie, as a page draws them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count

TAIL = 0.005
"""Share of all scores at either end that falls into the outermost bins, whatever their values."""


@dataclass(frozen=True)
class Spread:
    """Scores counted in bins of equal width; the outermost also hold what lies beyond them."""

    edges: Tensor  # (B + 1,), float64, rising
    known: Tensor  # (B,), float64, shares of the known images, sum 1
    others: Tensor  # (B,), float64, shares of the images from elsewhere, sum 1


def spread(scores_in: Tensor, scores_out: Tensor, *, bins: int = 40) -> Spread:
    """How the scores of known images and of those from elsewhere are spread, on one axis.

    Args:
        scores_in: (N,), finite, of known images.
        scores_out: (M,), finite, of images from elsewhere.
        bins: of equal width, at least 2.
    """
    check_count("bins", bins, 2)
    known, others = (_finite(name, some) for name, some in (("scores_in", scores_in), ("scores_out", scores_out)))
    both = torch.cat([known, others]).sort().values
    low, high = (float(both[round(share * (len(both) - 1))]) for share in (TAIL, 1 - TAIL))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    counts = [torch.bucketize(some, edges[1:-1], right=True).bincount(minlength=bins) for some in (known, others)]
    return Spread(edges, counts[0] / len(known), counts[1] / len(others))


def _finite(name: str, scores: Tensor) -> Tensor:
    if scores.ndim != 1 or not len(scores) or not torch.isfinite(scores).all():
        raise ValueError(f"{name} must be finite and of shape (N,), N at least 1, got {tuple(scores.shape)}")
    return scores.detach().cpu().double()
