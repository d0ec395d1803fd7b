"""Steps to the nearest boundary of a network that is made linear where the image is: the inside of DeepFool."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count
from pellucid.models import differentiate, unvaried

from ._question import check_logits, is_adversarial, lead
from ._slopes import logits_of
from ._smallest import spread, still
from .trace import Trace

NORMS = ("l2", "linf")

BEYOND = 1e-4
"""Added to the distance in logits, as in the paper's own program, so that a step ends behind the boundary."""


@dataclass(frozen=True)
class Crossing:
    """How to cross; the docstring of `deepfool` tells each."""

    norm: str = "l2"
    candidates: int = 10
    overshoot: float = 0.02
    steps: int = 50
    compact: bool = True

    def check(self) -> None:
        """Refuse what is out of range."""
        check_choice("norm", self.norm, NORMS)
        check_count("candidates", self.candidates, 2)
        check_count("steps", self.steps, 1)
        if not 0 <= self.overshoot < math.inf:
            raise ValueError(f"overshoot must be at least 0 and finite, got {self.overshoot}: it is a share of the way")


def crossed(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    how: Crossing,
    *,
    trace: Trace,
    done: Callable[[int], None] = lambda _rounds: None,
) -> Tensor:
    """The images (N, C, H, W) carried over their nearest boundary, or as far as the steps led.

    Every step is clamped to [0, 1], and what that takes from it is left to the next.

    Args:
        model: in eval mode.
        images: (N, C, H, W), in [0, 1].
        targets: (N,), left.
        how: the settings.
        trace: of these N images, begun; written into.
        done: told of every round.
    """
    everyone = torch.arange(len(images), device=images.device)
    logits = logits_of(model, images, targets)
    trace.passed(everyone)
    rivals = _rivals(logits, targets, how.candidates)  # (N, T)
    is_done = is_adversarial(logits, targets, targeted=False)
    now = images.clone()
    for step in range(how.steps):
        rows = still(is_done, compact=how.compact)
        if len(rows) and not bool(is_done.all()):
            trace.note(rows, lead(logits[rows], targets[rows], targeted=False))
            found = _step(model, now[rows], targets[rows], rivals[rows], how.norm)
            moving = ~is_done[rows]
            if step == 0:
                trace.vanished[rows.cpu()] = (moving & (found == 0).flatten(1).all(dim=1)).cpu()
            further = now[rows] + (1 + how.overshoot) * found  # so is the sum of steps, as the paper stretches it
            now[rows] = torch.where(spread(moving), further.clamp(0, 1), now[rows])
            logits[rows] = logits_of(model, now[rows], targets[rows])
            trace.passed(rows, backward=rivals.shape[1])
            trace.passed(rows)
            trace.iterations[rows[moving].cpu()] += 1
            is_done |= is_adversarial(logits, targets, targeted=False)
        done(1)
    return now


def _rivals(logits: Tensor, targets: Tensor, candidates: int) -> Tensor:
    """The most likely classes besides the label, (N, T), int64."""
    others = logits.scatter(1, targets[:, None], -math.inf)
    return others.topk(min(candidates, logits.shape[1]) - 1, dim=1).indices


def _step(model: nn.Module, images: Tensor, targets: Tensor, rivals: Tensor, norm: str) -> Tensor:
    """The smallest change (n, C, H, W) after which, were the network linear, a rival would be level with the label."""
    gaps = images.new_empty(0)

    def score(outputs: Any, rows: Tensor) -> Tensor:
        nonlocal gaps
        logits = check_logits(outputs, targets[rows])
        found = logits.gather(1, rivals[rows]) - logits.gather(1, targets[rows][:, None])  # (R, T), below 0
        gaps = found.detach().abs()
        return found

    return differentiate(
        model, unvaried(images), score, lambda found, *_: _shortest(found, gaps, norm), label="crossing"
    )[0]


def _shortest(gradients: Tensor, gaps: Tensor, norm: str) -> Tensor:
    """The step (R, C, H, W) to the nearest of the rivals' boundaries; gradients (R, T, C, H, W), gaps (R, T)."""
    lengths = torch.linalg.vector_norm(gradients.flatten(2), ord=2 if norm == "l2" else 1, dim=2)  # (R, T), dual norm
    nearest = torch.where(lengths > 0, gaps / lengths, math.inf).argmin(dim=1, keepdim=True)  # (R, 1)
    here = torch.arange(len(gaps), device=gaps.device)
    slope, length = gradients[here, nearest[:, 0]], lengths.gather(1, nearest)[:, 0].clamp(min=1e-30)
    way = slope.sign() if norm == "linf" else slope / spread(length)  # of norm 1; 0 where there is no slope
    return way * spread((gaps.gather(1, nearest)[:, 0] + BEYOND) / length)
