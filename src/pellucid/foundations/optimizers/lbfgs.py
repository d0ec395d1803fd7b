"""L-BFGS: Newton's step, its curvature guessed from the last few steps.

D. Liu, J. Nocedal, "On the Limited Memory BFGS Method for Large Scale Optimization", Mathematical Programming 45,
1989. https://doi.org/10.1007/BF01589116
J. Nocedal, S. Wright, "Numerical Optimization", Springer 2006, algorithms 3.5, 3.6 (line search) and 7.4.
https://doi.org/10.1007/978-0-387-40065-5
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

from ._descent import Function, check_rate, check_start, value_and_slope
from ._wolfe import DOWN, Point, strong_wolfe

CURVED = 1e-10
"""A pair of steps counts only if slope and weights changed the same way by more than this."""

STILL = 1e-12
"""Where no slope is steeper, there is nothing to do."""


def lbfgs(
    function: Function,
    start: Tensor,
    *,
    steps: int = 20,
    lr: float = 1.0,
    history: int = 10,
    line_search: bool = True,
    flatness: float = 0.1,
) -> Tensor:
    """Newton's step with a curvature guessed from the last steps; wants the whole batch.

    Formula:
        s_k = w_k+1 - w_k, y_k = g_k+1 - g_k, rho_k = 1 / (y_k . s_k)
        H_k+1 = (I - rho_k s_k y_k^T) H_k (I - rho_k y_k s_k^T) + rho_k s_k s_k^T, from H = (s . y / y . y) I
        w = w - t H g, t from a line search (strong Wolfe), or t = lr

    The first step, when nothing is known yet, is shortened to lr / |g|_1 where that is less. The book leaves 0.9 of
    the slope; at 0.1, as here, a parabola is solved in about D steps.

    Args:
        function: smooth, weights (D,) to one number, the same at each call.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0; each asks the function once or, with the line search, a few times.
        lr: first length tried, in units of the guessed Newton step, at least 0.
        history: pairs of steps remembered, at least 1.
        line_search: look for a length that goes down enough and flattens the slope; otherwise take lr.
        flatness: share of the slope that the line search may leave, in [0.0001, 0.9999]; small is exact and dear.

    Returns:
        (steps + 1, D), dtype and device of start: the weights; they stay where the slope is zero.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr)
    check_count("history", history, 1)
    check_range("flatness", flatness, DOWN, 1 - DOWN)
    here = Point(start.detach().clone(), *value_and_slope(function, start, step=0, lr=lr))
    _warn_if_drawn(function, here)
    path, pairs = [here.weights], list[tuple[Tensor, Tensor]]()
    for step in range(1, steps + 1):
        if here.slope.abs().max() > STILL:
            along = -_divided(here.slope, pairs)  # (D,)
            length = lr * min(1.0, 1 / here.slope.abs().sum().item()) if not pairs and step == 1 else lr
            at = _line(function, here, along, step)
            there = strong_wolfe(at, here, along, length, flatness) if line_search else at(length)
            change, bend = there.weights - here.weights, there.slope - here.slope
            if change @ bend > CURVED:
                pairs = [*pairs, (change, bend)][-history:]
            here = there
        path.append(here.weights)
    return torch.stack(path)


def _warn_if_drawn(function: Function, here: Point) -> None:
    with torch.no_grad():
        again = function(here.weights)
    if again.item() != here.value.item():
        warnings.warn(
            "function gives two values for the same weights, as mini-batches do: L-BFGS wants the whole batch",
            stacklevel=3,
        )


def _divided(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """H g by the two loops of algorithm 7.4: newest pair first, then oldest first."""
    left, shares = gradient.clone(), []
    for change, bend in reversed(pairs):
        share = (change @ left) / (bend @ change)
        left -= share * bend
        shares.append(share)
    if pairs:
        change, bend = pairs[-1]
        left *= (change @ bend) / (bend @ bend)
    for (change, bend), share in zip(pairs, reversed(shares), strict=True):
        left += change * (share - (bend @ left) / (bend @ change))
    return left


def _line(function: Function, here: Point, along: Tensor, step: int) -> Callable[[float], Point]:
    """A length along a direction to the place there."""

    def at(length: float) -> Point:
        weights = here.weights + length * along
        return Point(weights, *value_and_slope(function, weights, step=step, lr=length))

    return at
