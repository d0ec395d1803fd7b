"""The smallest change that makes an image be called a class, by box-constrained L-BFGS: one image at a time."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.progress import steps as progress

from ._losses import loss_of
from ._question import lead
from ._slopes import logits_of, slope
from ._smallest import reached, surely
from .trace import Trace

Pixels: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
"""(C * H * W,), an image as SciPy holds it."""

FACTOR = 10.0
"""By which the constant is multiplied or divided until one succeeds and one fails."""


@dataclass(frozen=True)
class Constrained:
    """How to search; the docstring of `fooling` tells each."""

    constant: float
    rounds: int
    steps: int
    stop_prob: float | None

    def check(self) -> None:
        """Refuse what is out of range."""
        if not 0 < self.constant < math.inf:
            raise ValueError(f"constant must be above 0 and finite, got {self.constant}")
        check_count("rounds", self.rounds, 1)


def constrained(model: nn.Module, images: Tensor, targets: Tensor, how: Constrained, trace: Trace) -> Tensor:
    """Of each image the smallest change met that succeeds, else the image met that is nearest to success.

    The largest constant is sought whose descent ends in a success, as it leaves the smallest change: by factors of ten
    until it is enclosed, from then on by halving in the logarithm. What is kept may be any place that was asked.
    """
    made = images.clone()
    if not how.steps:
        return made
    everyone = torch.arange(len(images))
    is_done = reached(logits_of(model, images, targets), targets, how.stop_prob)
    trace.passed(everyone)
    left = everyone[~is_done.cpu()]
    with progress("attacking", len(left) * how.rounds) as done:
        for row in left.tolist():
            one = _One(model, images[row : row + 1], targets[row : row + 1], how, trace, row)
            low, high, constant = 0.0, math.inf, how.constant
            for _ in range(how.rounds):
                low, high = (constant, high) if one.descend(constant) else (low, constant)
                if low == 0 or math.isinf(high):
                    constant = constant / FACTOR if low == 0 else constant * FACTOR
                else:
                    constant = math.sqrt(low * high)
                done(1)
            made[row] = one.best[0]
    return made


@dataclass
class _One:
    """One image's search."""

    model: nn.Module
    image: Tensor  # (1, C, H, W), clean
    target: Tensor  # (1,)
    how: Constrained
    trace: Trace
    row: int

    def __post_init__(self) -> None:
        self.best = self.image
        self.rank = (0.0, -math.inf)  # of the best: (1, -squared change) of a success, (0, lead) of a failure

    def descend(self, constant: float) -> bool:
        """From the image itself; whether the place where it ends succeeds."""
        from scipy.optimize import Bounds, minimize  # half a second that no other attack has to wait for

        start = self.image.flatten().double().cpu().numpy()
        told: dict[str, Any] = {"maxiter": self.how.steps, "maxfun": 2 * self.how.steps, "ftol": 1e-6}
        found = minimize(
            self.ask, start, args=(constant,), jac=True, method="L-BFGS-B", bounds=Bounds(0.0, 1.0), options=told
        )
        self.trace.passed(torch.tensor([self.row]))
        return self.hits(logits_of(self.model, self.image_of(found.x), self.target))

    def image_of(self, flat: Pixels) -> Tensor:
        """(1, C, H, W), dtype and device of the image."""
        return torch.from_numpy(flat).to(self.image).view_as(self.image).clamp(0, 1)

    def ask(self, flat: Pixels, constant: float) -> tuple[float, Pixels]:
        """constant x squared change + cross-entropy at these pixels, and its gradient, both in float64."""
        now = self.image_of(flat)
        found = slope(self.model, now, self.target, loss_of("ce", targeted=True), is_checked=True)
        away = now - self.image
        size = float(away.square().sum())
        self.see(now, found.logits, size)
        value = constant * size - float(found.value)
        here = torch.tensor([self.row])
        self.trace.passed(here, backward=1)
        self.trace.note(here, torch.tensor([-value]))
        self.trace.iterations[here] += 1
        return value, (2 * constant * away - found.gradient).flatten().double().cpu().numpy()

    def hits(self, logits: Tensor) -> bool:
        sure = surely(logits, self.target, targeted=True)
        return bool(sure & reached(logits, self.target, self.how.stop_prob))

    def see(self, now: Tensor, logits: Tensor, size: float) -> None:
        """Keep this place if it is better than the best."""
        lacking = (0.0, float(lead(logits, self.target, targeted=True)))
        rank = (1.0, -size) if self.hits(logits) else lacking
        if rank > self.rank:
            self.best, self.rank = now, rank
