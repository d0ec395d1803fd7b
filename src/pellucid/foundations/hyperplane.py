"""Hyperplane: what the weights (w0, w1, ..., wd) of w0 + w·x = 0 say about points.

C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.1.1.
https://www.microsoft.com/en-us/research/people/cmbishop/prml-book/
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Line:
    """A line of the plane, as x2 = intercept + slope x1, or as x1 = intercept where it is vertical."""

    slope: float | None  # None: vertical
    intercept: float  # on the x2 axis; on the x1 axis where it is vertical

    def __str__(self) -> str:
        if self.slope is None:
            return f"x1 = {self.intercept:g}"
        return f"x2 = {self.intercept:g} {'-' if self.slope < 0 else '+'} {abs(self.slope):g} x1"


def activation(weights: Tensor, points: Tensor) -> Tensor:
    """What each point excites, w0 + w·x.

    Args:
        weights: (d + 1,), w0 first.
        points: (N, d), dtype of weights.

    Returns:
        (N,), positive on the side the normal points to, zero on the hyperplane.

    Raises:
        ValueError: weights and points do not fit together.
    """
    if weights.ndim != 1 or points.ndim != 2 or len(weights) != points.shape[1] + 1:
        shapes = f"{tuple(weights.shape)} and {tuple(points.shape)}"
        raise ValueError(f"weights must have shape (d + 1,), w0 first, for points (N, d), got {shapes}")
    return weights[0] + points @ weights[1:]


def unit_normal(weights: Tensor) -> Tensor:
    """The direction straight away from the hyperplane, w / ||w||, (d,)."""
    return weights[1:] / _length(weights)


def signed_distance(weights: Tensor, points: Tensor) -> Tensor:
    """How far each point lies from the hyperplane, (w0 + w·x) / ||w||.

    Args:
        weights: (d + 1,), w0 first, w not all zero.
        points: (N, d), dtype of weights.

    Returns:
        (N,), in the unit of the points; positive on the side the normal points to. Scaling the weights by a positive
        number changes nothing.
    """
    return activation(weights, points) / _length(weights)


def foot_point(weights: Tensor, points: Tensor) -> Tensor:
    """The nearest point of the hyperplane to each point, (N, d)."""
    return points - signed_distance(weights, points)[:, None] * unit_normal(weights)


def margin(weights: Tensor, points: Tensor, targets: Tensor) -> float:
    """The smallest distance of a point to the hyperplane, counted negative on the wrong side.

    Args:
        weights: (d + 1,), w0 first, w not all zero.
        points: (N, d), dtype of weights.
        targets: (N,), -1 or +1.
    """
    return float((targets * signed_distance(weights, points)).min())


def line(weights: Tensor) -> Line:
    """The hyperplane of two inputs as a line: x2 = -w0/w2 - (w1/w2) x1, vertical where w2 = 0."""
    if len(weights) != 3:
        raise ValueError(f"weights must be (w0, w1, w2) to make a line, got {len(weights)} numbers")
    offset, first, second = weights.tolist()
    _length(weights)
    if second == 0:
        return Line(None, -offset / first + 0.0)
    return Line(-first / second + 0.0, -offset / second + 0.0)


def separable(points: Tensor, targets: Tensor) -> bool:
    """Whether some hyperplane has every point strictly on its side: asked of a linear program.

    Args:
        points: (N, d).
        targets: (N,), -1 or +1.
    """
    from scipy.optimize import linprog

    rows = targets[:, None] * torch.cat([torch.ones_like(points[:, :1]), points], dim=1)  # (N, d + 1)
    found = linprog(
        torch.zeros(rows.shape[1]).numpy(),
        A_ub=-rows.double().cpu().numpy(),
        b_ub=-torch.ones(len(rows)).numpy(),
        bounds=(None, None),
    )
    return bool(found.status == 0)


def _length(weights: Tensor) -> Tensor:
    """||w|| without w0; a hyperplane has a direction."""
    length: Tensor = weights[1:].norm()
    if float(length) == 0:
        raise ValueError(f"weights must have a direction: w is all zero, got {weights.tolist()}")
    return length
