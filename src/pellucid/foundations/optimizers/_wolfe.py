"""Strong Wolfe line search: a length that goes down enough and leaves the slope flat enough.

J. Nocedal, S. Wright, "Numerical Optimization", Springer 2006, algorithms 3.5 and 3.6, equation 3.59.
https://doi.org/10.1007/978-0-387-40065-5
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

DOWN = 1e-4
"""Share of the promised descent that must come true."""

TRIALS = 25
"""Lengths tried in each phase; then the best so far is taken."""


@dataclass(frozen=True)
class Point:
    """A place, with what the function is there."""

    weights: Tensor  # (D,)
    value: Tensor  # ()
    slope: Tensor  # (D,)


@dataclass(frozen=True)
class _Trial:
    """A length along the line, with the place it leads to."""

    length: float
    value: float
    slope: float  # along the line
    point: Point


def strong_wolfe(at: Callable[[float], Point], here: Point, along: Tensor, length: float, flatness: float) -> Point:
    """The first place found that meets both conditions.

    Args:
        at: a length to the place there.
        here: where the line starts.
        along: (D,), a direction that goes down.
        length: first length tried, above 0.
        flatness: share of the slope along the line that may remain, in [DOWN, 1).
    """

    def trial(share: float) -> _Trial:
        point = at(share)
        return _Trial(share, point.value.item(), (point.slope @ along).item(), point)

    start = _Trial(0.0, here.value.item(), (here.slope @ along).item(), here)
    before = start
    for number in range(TRIALS):
        now = trial(length)
        if not _is_down(now, start) or (number and now.value >= before.value):
            return _between(trial, start, before, now, flatness)
        if abs(now.slope) <= -flatness * start.slope:
            return now.point
        if now.slope >= 0:
            return _between(trial, start, now, before, flatness)
        before, length = now, 2 * length
    return before.point


def _is_down(trial: _Trial, start: _Trial) -> bool:
    return trial.value <= start.value + DOWN * trial.length * start.slope


def _between(trial: Callable[[float], _Trial], start: _Trial, low: _Trial, high: _Trial, flatness: float) -> Point:
    """Narrow the interval whose lower end `low` is the best so far (algorithm 3.6)."""
    for _ in range(TRIALS):
        now = trial(_cubic(low, high))
        if not _is_down(now, start) or now.value >= low.value:
            high = now
        else:
            if abs(now.slope) <= -flatness * start.slope:
                return now.point
            if now.slope * (high.length - low.length) >= 0:
                high = low
            low = now
        if abs(high.length - low.length) * abs(start.slope) < 1e-16 * max(1.0, abs(start.value)):
            break
    return low.point


def _cubic(one: _Trial, other: _Trial) -> float:
    """Where the cubic through both values and slopes is lowest (equation 3.59), the middle where that is no help."""
    left, right = sorted((one, other), key=lambda trial: trial.length)
    width = right.length - left.length
    middle = left.length + width / 2
    first = left.slope + right.slope - 3 * (right.value - left.value) / width
    inside = first**2 - left.slope * right.slope
    if inside < 0 or not math.isfinite(inside):
        return middle
    root = math.sqrt(inside)
    below = right.slope - left.slope + 2 * root
    lowest = right.length - width * (right.slope + root - first) / below if below else middle
    return lowest if left.length + 0.1 * width < lowest < right.length - 0.1 * width else middle
