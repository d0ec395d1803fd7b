"""Points of two classes in the plane, drawn anew from a seed."""

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

from .mlp_study import Labelled


def blobs(*, count: int = 200, spread: float = 0.8, generator: torch.Generator | None = None) -> Labelled:
    """Two round heaps around (-2, -2) and (2, 2), which a line parts with room to spare.

    Args:
        count: points of each class, at least 1.
        spread: standard deviation of a heap, at least 0.
        generator: of the points; None: seed 0.
    """
    check_count("count", count, 1)
    check_range("spread", spread, 0)
    source = generator or torch.Generator().manual_seed(0)
    targets = torch.arange(2).repeat_interleave(count)
    noise = torch.randn(2 * count, 2, generator=source, dtype=torch.float64)
    return Labelled(4.0 * targets[:, None] - 2 + spread * noise, targets)


def moons(*, count: int = 1000, noise: float = 0.1, generator: torch.Generator | None = None) -> Labelled:
    """Two half moons, one in the hollow of the other.

    Args:
        count: points in all, at least 2.
        noise: standard deviation on both coordinates, at least 0; a moon's radius is 1.
        generator: of the points; None: seed 0.
    """
    check_count("count", count, 2)
    check_range("noise", noise, 0)
    from sklearn.datasets import make_moons

    source = generator or torch.Generator().manual_seed(0)
    seed = int(torch.randint(2**31, (), generator=source))
    points, targets = make_moons(count, noise=noise, random_state=np.random.RandomState(seed))
    return Labelled(torch.from_numpy(points), torch.from_numpy(targets).long())


def square(points: Tensor, *, times: float = 2.0, places: int = 61) -> tuple[Tensor, Tensor, Tensor]:
    """A grid around points, so many times as wide as they lie.

    Args:
        points: (N, 2).
        times: width of the grid by the larger range of the points, above 0.
        places: points of the grid a side, at least 2.

    Returns:
        x (W,), y (W,), both ascending, and the grid's points (W * W, 2), x running fastest.
    """
    low, high = points.amin(dim=0), points.amax(dim=0)
    half = times / 2 * float((high - low).max())
    x, y = (torch.linspace(at - half, at + half, places, dtype=torch.float64) for at in ((low + high) / 2).tolist())
    return x, y, torch.stack([x.repeat(places), y.repeat_interleave(places)], dim=1)
