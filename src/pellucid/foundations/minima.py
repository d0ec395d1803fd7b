"""Minima: where cross-entropy is lowest once large outputs cost something, and where it has no lowest place at all.

S. Boyd, L. Vandenberghe, "Convex Optimization", Cambridge University Press 2004, section 5.5.3 (optimality conditions).
https://web.stanford.edu/~boyd/cvxbook/
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_range

PENALTIES = ("none", "l1", "l2")


@dataclass(frozen=True)
class Curve:
    """The loss over the outputs (z0, 1 - z0), the true class being 0."""

    value: Tensor  # as z0, in nats
    slope: Tensor  # as z0: its derivative by z0


@dataclass(frozen=True)
class Minimum:
    """The outputs of lowest loss."""

    outputs: tuple[float, float]  # of the true class and of the other
    value: float  # the loss there, in nats
    is_boundary: bool  # the slope does not vanish there: a constraint holds it


def penalised_loss(shares: Tensor, *, penalty: str = "l2", weight: float = 1.0) -> Curve:
    """Cross-entropy of two outputs that sum to 1, plus a penalty on their size.

    Formula:
        none: f(z0) = -ln z0
        l1: f(z0) = -ln z0 + weight (|z0| + |1 - z0|) = -ln z0 + weight
        l2: f(z0) = -ln z0 + weight (2 z0^2 - 2 z0 + 1), f'(z0) = -1 / z0 + weight (4 z0 - 2)

    Args:
        shares: z0, float, any shape, in (0, 1]: the output of the true class.
        penalty: none, l1 (sum of magnitudes) or l2 (sum of squares).
        weight: of the penalty, at least 0.

    Raises:
        ValueError: an argument is out of the range above.
    """
    _check(penalty, weight)
    if not isinstance(shares, Tensor) or not bool(((shares > 0) & (shares <= 1)).all()):
        raise ValueError("shares must be a tensor in (0, 1]: -ln z has no value at 0, and above 1 rows do not sum to 1")
    value, slope = -shares.log(), -1 / shares
    if penalty == "l1":
        value = value + weight
    if penalty == "l2":
        value = value + weight * (2 * shares**2 - 2 * shares + 1)
        slope = slope + weight * (4 * shares - 2)
    return Curve(value, slope)


def minimum_on_simplex(*, penalty: str = "l2", weight: float = 1.0) -> Minimum:
    """Lowest loss of two outputs that sum to 1: only squares keep the net from being certain.

    Formula:
        none, l1: z = (1, 0), for on the simplex |z|_1 = 1 whatever z is
        l2: z0 = min(1, (1 + sqrt(1 + 4 / weight)) / 4), which falls from 1 to 1/2 as the weight grows

    Args:
        penalty: none, l1 or l2.
        weight: of the penalty, at least 0.

    Raises:
        ValueError: an argument is out of the range above.
    """
    _check(penalty, weight)
    inner = (1 + math.sqrt(1 + 4 / weight)) / 4 if penalty == "l2" and weight > 0 else math.inf
    share = min(1.0, inner)
    curve = penalised_loss(torch.tensor(share, dtype=torch.float64), penalty=penalty, weight=weight)
    return Minimum((share, 1 - share), curve.value.item(), is_boundary=inner > 1)


def minimum_unconstrained(*, penalty: str = "l2", weight: float = 1.0) -> Minimum:
    """Lowest loss of two outputs z0 > 0, z1 >= 0 that need not sum to 1: without a penalty there is none.

    Formula:
        l1: z = (1 / weight, 0)
        l2: z = (1 / sqrt(2 weight), 0)

    Args:
        penalty: l1 or l2; with none, -ln z0 falls for ever.
        weight: of the penalty, above 0.

    Raises:
        ValueError: an argument is out of the range above.
    """
    _check(penalty, weight)
    if penalty == "none" or weight == 0:
        raise ValueError(
            "weight must be above 0, with penalty l1 or l2: without one, -ln z0 falls for ever as z0 grows"
        )
    share = 1 / weight if penalty == "l1" else 1 / math.sqrt(2 * weight)
    size = share if penalty == "l1" else share**2
    return Minimum((share, 0.0), -math.log(share) + weight * size, is_boundary=penalty == "l1")


def _check(penalty: str, weight: float) -> None:
    check_choice("penalty", penalty, PENALTIES)
    check_range("weight", weight, 0)
