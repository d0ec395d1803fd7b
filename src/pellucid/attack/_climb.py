"""Climbing a loss inside a ball, step by step: what the gradient-sign attacks share."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_range
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._balls import anywhere, direction, projected, within
from ._layout import Layout
from ._losses import Loss, loss_of
from ._question import check_attack, check_epsilon, is_adversarial, lead
from ._slopes import Slope, logits_of, slope
from ._smallest import spread
from ._standing import warn_of_vanished
from .trace import Trace

Ask: TypeAlias = Callable[[Tensor, Tensor], Slope]
"""(images (n, C, H, W), targets (n,)) -> their slopes."""


@dataclass(frozen=True)
class Climb:
    """How to climb; the docstring of `pgd` tells each."""

    epsilon: float
    norm: str = "linf"
    alpha: float = 2 / 255
    steps: int = 10
    restarts: int = 1
    random_start: bool = True
    targeted: bool = False
    loss: str = "ce"
    momentum: float = 0.0
    margin: float = 0.0
    keep_best: bool = True
    compact: bool = True

    def check(self) -> None:
        """Refuse what is out of range."""
        check_epsilon(self.epsilon, self.norm)
        check_count("steps", self.steps, 1)
        check_count("restarts", self.restarts, 1)
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"alpha must be above 0, got {self.alpha}: it is the length of a step, in image units")
        check_range("margin", self.margin, 0)
        check_range("momentum", self.momentum, 0)
        if self.restarts > 1 and not (self.random_start and self.keep_best):
            raise ValueError("restarts above 1 need random_start and keep_best: else every one ends where the last did")


def climb(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    how: Climb,
    *,
    generator: torch.Generator | None,
    trace: Trace | None,
    ask: Ask | None = None,
) -> Tensor:
    """The adversarial images (N, C, H, W): of each the first that succeeded, else the one nearest to it.

    An image that has succeeded, or needed no attack, is left as it is, so that `compact`, which takes it out of the
    passes, changes nothing. All images share the draws of the start, so that none depends on the others.

    Args:
        model: in eval mode.
        images: (N, C, H, W), in [0, 1].
        targets: (N,).
        how: the settings.
        generator: of the starts; None takes one of seed 0.
        trace: written into.
        ask: where the slopes come from, if not from the loss of the images as they are.
    """
    how.check()
    images, targets = check_attack(model, images, targets)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    if ask is None:
        ask = _asker(model, loss_of(how.loss, targeted=how.targeted))
    run = _Run(model, images, targets, how, (trace or Trace()).begin(len(images)), ask)
    with paced(), torch.no_grad(), progress("attacking", how.restarts * how.steps) as done:
        if how.random_start:
            run.look(run.clean())
        for _ in range(how.restarts):
            start = images
            if how.random_start:
                drawn = anywhere(images.shape, how.epsilon, how.norm, source).to(images)
                start = within(images, images + drawn, how.epsilon, how.norm)
            run.from_start(start, done)
    warn_of_vanished(run.trace, stacklevel=4)
    return run.best.contiguous()


def _asker(model: nn.Module, loss: Loss) -> Ask:
    """Asks for slopes; looks at the outputs the first time."""
    seen = False

    def ask(images: Tensor, targets: Tensor) -> Slope:
        nonlocal seen
        found = slope(model, images, targets, loss, is_checked=seen)
        seen = True
        return found

    return ask


@dataclass
class _Some:
    """The images that pass, and where they are; from here on all rows are theirs."""

    rows: Tensor  # (n,), int64, their places among all
    now: Tensor  # (n, C, H, W)
    low: Tensor  # (n, C, H, W), the least that the box allows, and for linf the ball
    high: Tensor  # (n, C, H, W)
    velocity: Tensor  # (n, C, H, W), the running sum of gradients; unused without momentum


@dataclass
class _Run:
    """The images of one attack, and how far each is."""

    model: nn.Module
    images: Tensor  # (N, C, H, W), clean
    targets: Tensor  # (N,)
    how: Climb
    trace: Trace
    ask: Ask

    def __post_init__(self) -> None:
        self.layout = Layout(self.model)
        self.images = self.layout.of(self.images)
        self.best = self.images.clone()
        self.leads = self.images.new_full((len(self.images),), -math.inf)
        self.is_done = torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)

    def from_start(self, start: Tensor, done: Callable[[int], None]) -> None:
        """All steps, from one start."""
        some = self._some(torch.where(spread(self.is_done), self.best, start))
        for step in range(self.how.steps):
            if len(some.rows):
                found = self._slopes(some)
                self.trace.passed(some.rows, forward=found.passes, backward=found.passes)
                self.trace.note(some.rows, found.value)
                if step == 0:
                    self._note_vanished(some, found.gradient)
                if self.how.keep_best or (step == 0 and not self.how.random_start):
                    self._keep(some, found.logits)
                self._move(some, found.gradient)
                some = self._left(some)
            done(1)
        if self.how.keep_best:
            self.look(some)
        else:
            self.best[some.rows] = some.now

    def _slopes(self, some: "_Some") -> Slope:
        targets = self.targets[some.rows]
        return self.layout.asked(lambda now: self.ask(now, targets), some.now)

    def look(self, some: "_Some") -> None:
        """Keep what is better, by one more pass."""
        if len(some.rows):
            self.trace.passed(some.rows)
            targets = self.targets[some.rows]
            self._keep(some, self.layout.asked(lambda now: logits_of(self.model, now, targets), some.now))

    def clean(self) -> "_Some":
        """The images as they are."""
        return self._some(self.images)

    def _some(self, now: Tensor) -> "_Some":
        """Of the images at these places (N, C, H, W), those that pass."""
        bound = self.how.epsilon if self.how.norm == "linf" else 1.0
        low, high = (self.images - bound).clamp_(min=0), (self.images + bound).clamp_(max=1)
        rows = torch.arange(len(now), device=now.device)
        return self._left(
            _Some(rows, self.layout.of(now).clone(), low, high, torch.zeros_like(now) if self.how.momentum else now)
        )

    def _left(self, some: "_Some") -> "_Some":
        """Those of some images that still pass."""
        kept = ~self.is_done[some.rows]
        if not self.how.compact or bool(kept.all()):
            return some
        return _Some(some.rows[kept], some.now[kept], some.low[kept], some.high[kept], some.velocity[kept])

    def _note_vanished(self, some: "_Some", gradient: Tensor) -> None:
        flat = gradient.flatten(1).abs().amax(dim=1) == 0  # (n,)
        self.trace.vanished[some.rows.cpu()] |= (flat & ~self.is_done[some.rows]).cpu()

    def _keep(self, some: "_Some", logits: Tensor) -> None:
        """Note which have succeeded; of the others the one nearest to it so far."""
        how, rows = self.how, some.rows
        leads = lead(logits, self.targets[rows], targeted=how.targeted).to(self.leads)
        hit = is_adversarial(logits, self.targets[rows], targeted=how.targeted, margin=how.margin)
        better = ~self.is_done[rows] & (hit | (leads > self.leads[rows]))
        self.best[rows[better]] = some.now[better]
        self.leads[rows] = torch.where(self.is_done[rows], self.leads[rows], self.leads[rows].maximum(leads))
        self.is_done[rows] |= hit

    def _move(self, some: "_Some", gradient: Tensor) -> None:
        """One step inside the ball; images that are done stay."""
        how, moving = self.how, ~self.is_done[some.rows]
        if how.momentum:
            gradient = gradient / gradient.flatten(1).abs().mean(dim=1).clamp(min=1e-30)[:, None, None, None]
            gradient = some.velocity.mul_(how.momentum).add_(gradient)
        moved = torch.add(some.now, direction(gradient, how.norm), alpha=how.alpha)
        if how.norm != "linf":
            clean = self.images[some.rows]
            moved = projected(moved.sub_(clean), how.epsilon, how.norm).add_(clean)
        moved = torch.clamp(moved, some.low, some.high)
        some.now = moved if bool(moving.all()) else torch.where(spread(moving), moved, some.now)
        self.trace.iterations[some.rows[moving].cpu()] += 1
