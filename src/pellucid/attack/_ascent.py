"""Climbing a loss with steps that adapt themselves: what APGD and `strong` share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._balls import anywhere, within
from ._halving import halving
from ._question import check_epsilon
from ._slopes import Slope
from ._smallest import spread
from ._sparse import onto, sparse
from ._standing import Standing
from ._track import Pace, Track, begun, only
from .trace import Trace

Ask: TypeAlias = Callable[[Tensor, Tensor], Slope]
"""(images (n, C, H, W), their places (n,) among the attacked images) -> their slopes."""

WIDER = ((3, 0.3), (2, 0.3))
"""Balls of so many times the radius in which an l1 ascent begins, with their share of the steps."""


@dataclass(frozen=True)
class Stage:
    """A ball that is climbed, from where the ascent in the one before it was best."""

    radius: float
    steps: int
    is_first: bool
    is_last: bool  # the ball that was asked for: here an image can succeed


@dataclass(frozen=True)
class Ascent:
    """How to climb; the docstring of `apgd` tells each."""

    epsilon: float
    norm: str = "linf"
    steps: int = 100
    restarts: int = 1
    targeted: bool = False
    compact: bool = True

    def check(self) -> None:
        """Refuse what is out of range."""
        check_epsilon(self.epsilon, self.norm)
        check_count("steps", self.steps, 1)
        check_count("restarts", self.restarts, 1)

    def stages(self) -> list[Stage]:
        """The balls, in their order."""
        early = [(times, int(self.steps * share)) for times, share in WIDER if self.norm == "l1"]
        first = [Stage(self.epsilon * times, steps, times == WIDER[0][0], False) for times, steps in early]
        return [*first, Stage(self.epsilon, self.steps - sum(steps for _, steps in early), not early, True)]


def ascend(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    how: Ascent,
    ask: Ask,
    *,
    source: torch.Generator,
    trace: Trace,
) -> Tensor:
    """The adversarial images (N, C, H, W): of each the first that succeeded, else the one nearest to it.

    Args:
        model: in eval mode.
        images: (N, C, H, W), checked.
        targets: (N,), checked.
        how: the settings, checked.
        ask: what is climbed.
        source: of the starts, which all images share, so that none depends on the others.
        trace: written into.
    """
    standing = Standing(images, targets, how.targeted, trace.begin(len(images)), how.compact)
    with paced(), torch.no_grad(), progress("attacking", how.restarts * how.steps) as done:
        rows = standing.left()
        standing.look(model, rows, images[rows])
        for _ in range(how.restarts):
            places = images + anywhere(images.shape, how.epsilon, how.norm, source).to(images)
            for stage in how.stages():
                rows = standing.left()
                track, pace = _begun(images[rows], places[rows], rows, stage, how.norm)
                for step in range(stage.steps):
                    if len(track.rows):
                        track, pace = _stepped(step, track, pace, ask, standing, is_judged=stage.is_last)
                    done(1)
                places[track.rows] = track.top
            standing.look(model, track.rows, track.now)
    return standing.best


def _begun(clean: Tensor, places: Tensor, rows: Tensor, stage: Stage, norm: str) -> tuple[Track, Pace]:
    """A track from these places, and its pace."""
    if norm == "l1":
        track = begun(rows, clean, onto(clean, places, stage.radius))
        return track, sparse(track, stage.radius, stage.steps, is_first=stage.is_first)
    track = begun(rows, clean, within(clean, places, stage.radius, norm))
    return track, halving(track, stage.radius, norm, stage.steps)


def _stepped(
    step: int, track: Track, pace: Pace, ask: Ask, standing: Standing, *, is_judged: bool
) -> tuple[Track, Pace]:
    """One step of the images that pass, and who still passes after it."""
    trace = standing.trace
    found = ask(track.now, track.rows)
    trace.passed(track.rows, backward=1)
    trace.note(track.rows, found.value)
    if is_judged:
        standing.keep(track.rows, track.now, found.logits)
    moving = ~standing.is_done[track.rows]
    if step == 0:
        flat = found.gradient.flatten(1).abs().amax(dim=1) == 0
        trace.vanished[track.rows.cpu()] |= (flat & moving).cpu()
    trace.iterations[track.rows[moving].cpu()] += 1
    track.meet(found)
    _move(step, track, pace, found.gradient)
    if standing.compact and not bool(moving.all()):
        return only(track, moving), only(pace, moving)
    return track, pace


def _move(step: int, track: Track, pace: Pace, gradient: Tensor) -> None:
    """Step from where the images are or, if they turn at a checkpoint, from where they were best."""
    here = track.now
    turned = pace.turned(step, track)
    if turned is not None:
        here = track.now = torch.where(spread(turned), track.top, here)
        gradient = torch.where(spread(turned), track.top_gradient, gradient)
    track.now = pace.moved(step, track, gradient)
    track.last = here
