"""The plane in which points lie, on a grid: what lessons draw boundaries on."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.report import Field

PLACES = 141
"""Points of the grid a side."""


def plane(points: Tensor, landscape: Callable[[Tensor], Tensor], *, room: float = 0.12) -> Field:
    """A function of the plane around some points (N, 2), both axes equally long."""
    low, high = points.amin(dim=0), points.amax(dim=0)
    middle, half = (low + high) / 2, (0.5 + room) * float((high - low).max())
    x, y = (torch.linspace(float(at) - half, float(at) + half, PLACES, dtype=torch.float64) for at in middle)
    spots = torch.stack([x.expand(PLACES, PLACES), y[:, None].expand(PLACES, PLACES)], dim=-1)  # (H, W, 2)
    return Field(x, y, landscape(spots))
