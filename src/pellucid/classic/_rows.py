"""Descriptors as rows, and which of a few points lies nearest to each, a block at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_BYTES = 32 * 2**20
"""What the distances that are held at a time may take; changes the memory, never the result."""


def as_descriptors(descriptors: Tensor) -> Tensor:
    """Descriptors (..., D) as rows (M, D), float32 at least; refuses what is no such thing, or not finite."""
    if not isinstance(descriptors, Tensor) or not descriptors.is_floating_point() or descriptors.ndim < 2:
        given = tuple(descriptors.shape) if isinstance(descriptors, Tensor) else type(descriptors).__name__
        raise ValueError(f"descriptors must be a float tensor (P, D) or (N, P, D), got {given}")
    if not descriptors.numel():
        raise ValueError(f"descriptors must not be empty, got shape {tuple(descriptors.shape)}")
    rows = descriptors.detach().flatten(0, -2)
    rows = rows if rows.dtype == torch.float64 else rows.float()
    if not bool(torch.isfinite(rows.sum())):
        raise ValueError("descriptors must be finite, got NaN or infinity")
    return rows


def in_images(descriptors: Tensor, width: int) -> Tensor:
    """Descriptors (N, P, D), of the width learned; those of one image (P, D) are refused."""
    rows = as_descriptors(descriptors)
    if descriptors.ndim != 3:
        raise ValueError(f"descriptors must be (N, P, D), those of N images, got {tuple(descriptors.shape)}")
    if descriptors.shape[2] != width:
        raise ValueError(f"descriptors must have the {width} numbers learned, got {descriptors.shape[2]}")
    return rows.view(descriptors.shape)


def blocks(rows: Tensor, columns: int) -> Iterator[tuple[int, Tensor]]:
    """Rows a few at a time, so that a matrix of them by so many columns stays small; where each part starts."""
    size = max(1, BLOCK_BYTES // (columns * rows.element_size()))
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]


def squared(rows: Tensor, points: Tensor) -> Tensor:
    """Squared distances (M, K), at least 0."""
    lengths = points.square().sum(dim=1)
    return torch.addmm(lengths, rows, points.T, alpha=-2).add_(rows.square().sum(dim=1, keepdim=True)).clamp_(min=0)


def nearest(rows: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Which point lies nearest to each row (M,), of equals the first, and the squared distance (M,)."""
    places, lows = [], []
    for _, some in blocks(rows, len(points)):
        low, place = squared(some, points).min(dim=1)
        places.append(place)
        lows.append(low)
    return torch.cat(places), torch.cat(lows)
