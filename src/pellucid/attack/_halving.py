"""Steps that are halved where they bring nothing: the pace of APGD in linf and l2."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._balls import direction, within
from ._smallest import spread
from ._track import Track

ENOUGH = 0.75
"""Share of the steps between two checkpoints that must raise the loss, or they were too long (rho)."""

KEPT = 0.75
"""Share of the new step in a move; the rest is the last move (alpha)."""


@dataclass
class Halving:
    """One step length for each image, twice the radius at first.

    F. Croce, M. Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free
    Attacks", ICML 2020, algorithm 1 and section 3. https://arxiv.org/abs/2003.01690
    """

    radius: float
    norm: str
    checks: tuple[int, ...]  # steps before which the lengths are looked at
    length: Tensor  # (n,)
    was_halved: Tensor  # (n,), bool, at the last checkpoint
    top_then: Tensor  # (n,), the highest loss at the last checkpoint

    def turned(self, step: int, track: Track) -> Tensor | None:
        """Halve the steps of images of which too few rose, or that gained nothing though their step stayed."""
        if step not in self.checks:
            return None
        place = self.checks.index(step)
        since = step - (self.checks[place - 1] if place else 0)
        idle = ~self.was_halved & (track.top_value <= self.top_then)
        halved = (track.rises < ENOUGH * since) | idle
        self.length = torch.where(halved, self.length / 2, self.length)
        self.was_halved, self.top_then = halved, track.top_value
        track.rises = torch.zeros_like(track.rises)
        return halved

    def moved(self, step: int, track: Track, gradient: Tensor) -> Tensor:
        """A step and a part of the last move, each brought back into the ball."""
        ahead = track.now + spread(self.length) * direction(gradient, self.norm)
        ahead = within(track.clean, ahead, self.radius, self.norm)
        if step == 0:
            return ahead
        mixed = track.now + KEPT * (ahead - track.now) + (1 - KEPT) * (track.now - track.last)
        return within(track.clean, mixed, self.radius, self.norm)


def halving(track: Track, radius: float, norm: str, steps: int) -> Halving:
    """The pace of a track of so many steps."""
    length = torch.full_like(track.value, 2 * radius)
    return Halving(
        radius, norm, checkpoints(steps), length, torch.zeros_like(track.rows, dtype=torch.bool), -track.value
    )


def checkpoints(steps: int) -> tuple[int, ...]:
    """Steps at which the lengths are looked at: after 22 %, then ever sooner, from 19 % down to each 6 %."""
    found, at, gap = [], 22, 22
    while at < 100:
        found.append(-(-at * steps // 100))
        gap = max(gap - 3, 6)
        at += gap
    return tuple(sorted({each for each in found if 0 < each < steps}))
