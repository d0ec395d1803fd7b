"""Climbing a loss inside a ball, step by step: what the gradient-sign attacks share."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_range
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._balls import anywhere, direction, within
from ._losses import loss_of
from ._question import check_attack, check_epsilon, is_adversarial, lead
from ._slopes import Slope, logits_of, slope
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
        loss = loss_of(how.loss, targeted=how.targeted)
        ask = lambda some, wanted: slope(model, some, wanted, loss)  # noqa: E731
    run = _Run(model, images, targets, how, (trace or Trace()).begin(len(images)), ask)
    with paced(), torch.no_grad(), progress("attacking", how.restarts * how.steps) as done:
        if how.random_start:
            run.look(images, run.left())
        for _ in range(how.restarts):
            start = images
            if how.random_start:
                drawn = anywhere(images.shape, how.epsilon, how.norm, source).to(images)
                start = within(images, images + drawn, how.epsilon, how.norm)
            run.from_start(start, done)
    run.warn()
    return run.best


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
        self.best = self.images.clone()
        self.leads = self.images.new_full((len(self.images),), -math.inf)
        self.is_done = torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)

    def left(self) -> Tensor:
        """Places (n,) of the images that pass: all, or those not done."""
        if self.how.compact:
            return (~self.is_done).nonzero()[:, 0]
        return torch.arange(len(self.images), device=self.images.device)

    def from_start(self, start: Tensor, done: Callable[[int], None]) -> None:
        """All steps, from one start."""
        now = torch.where(_spread(self.is_done), self.best, start)
        velocity = torch.zeros_like(now)
        for step in range(self.how.steps):
            rows = self.left()
            if len(rows):
                found = self.ask(now[rows], self.targets[rows])
                self.trace.passed(rows, backward=1)
                self.trace.note(rows, found.value)
                self._saw(now, rows, found, is_clean=step == 0 and not self.how.random_start)
                now[rows] = self._stepped(now, velocity, rows, found.gradient)
            done(1)
        if self.how.keep_best:
            rows = self.left()
            if len(rows):
                self.look(now, rows)
        else:
            self.best = now

    def look(self, now: Tensor, rows: Tensor) -> None:
        """Keep what is better, of images that passed once more."""
        if len(rows):
            self.trace.passed(rows)
            self._keep(now, rows, logits_of(self.model, now[rows], self.targets[rows]))

    def _saw(self, now: Tensor, rows: Tensor, found: Slope, *, is_clean: bool) -> None:
        if self.how.keep_best or is_clean:
            self._keep(now, rows, found.logits)
        flat = found.gradient.flatten(1).abs().amax(dim=1) == 0  # (n,)
        is_first = self.trace.iterations[rows.cpu()] == 0
        self.trace.vanished[rows.cpu()] |= (flat & ~self.is_done[rows]).cpu() & is_first

    def _keep(self, now: Tensor, rows: Tensor, logits: Tensor) -> None:
        """Note which have succeeded; of the others the one nearest to it so far."""
        how = self.how
        leads = lead(logits, self.targets[rows], targeted=how.targeted).to(self.leads)
        hit = is_adversarial(logits, self.targets[rows], targeted=how.targeted, margin=how.margin)
        better = rows[~self.is_done[rows] & (hit | (leads > self.leads[rows]))]
        self.best[better] = now[better]
        self.leads[rows] = torch.where(self.is_done[rows], self.leads[rows], self.leads[rows].maximum(leads))
        self.is_done[rows] |= hit

    def _stepped(self, now: Tensor, velocity: Tensor, rows: Tensor, gradient: Tensor) -> Tensor:
        """The next images (n, C, H, W) of these places; those that are done stay."""
        how, here, moving = self.how, now[rows], ~self.is_done[rows]
        if how.momentum > 0:
            gradient = gradient / _mean_size(gradient)
            velocity[rows] = gradient = how.momentum * velocity[rows] + gradient
        moved = within(self.images[rows], here + how.alpha * direction(gradient, how.norm), how.epsilon, how.norm)
        self.trace.iterations[rows[moving].cpu()] += 1
        return torch.where(_spread(moving), moved, here)

    def warn(self) -> None:
        """Say which images had nothing to climb."""
        count = int(self.trace.vanished.sum())
        if count:
            warnings.warn(
                f"the gradient of {count} of {len(self.images)} images is zero at the start, so that they hardly "
                "moved: the loss is saturated (try loss='margin' or 'dlr'), or the network hides it (try square)",
                stacklevel=4,
            )


def _mean_size(gradient: Tensor) -> Tensor:
    """Mean magnitude of each row's gradient, (n, 1, 1, 1); above 0."""
    return gradient.flatten(1).abs().mean(dim=1).clamp(min=1e-30)[:, None, None, None]


def _spread(rows: Tensor) -> Tensor:
    return rows[:, None, None, None]
