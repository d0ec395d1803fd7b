"""Which images an attack has broken so far, and the best it has of each."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ._question import is_adversarial, lead
from ._slopes import logits_of
from .trace import Trace


@dataclass
class Standing:
    """The images of one attack, and how far each is.

    What is kept of an image that has succeeded, or needed no attack, changes no more; so `compact`, which takes it
    out of the passes, changes nothing.

    Fields:
        best: (N, C, H, W), of each image the first that succeeded, else the one nearest to it.
        leads: (N,), how near the best is.
        is_done: (N,), bool.
    """

    images: Tensor  # (N, C, H, W), clean
    targets: Tensor  # (N,)
    targeted: bool
    trace: Trace
    compact: bool = True

    def __post_init__(self) -> None:
        self.best = self.images.clone()
        self.leads = self.images.new_full((len(self.images),), -math.inf)
        self.is_done = torch.zeros(len(self.images), dtype=torch.bool, device=self.images.device)

    def left(self) -> Tensor:
        """Places (n,) of the images that pass: all, or those not done."""
        if self.compact:
            return (~self.is_done).nonzero()[:, 0]
        return torch.arange(len(self.images), device=self.images.device)

    def look(self, model: nn.Module, rows: Tensor, now: Tensor) -> None:
        """Keep what is better of the images (n, C, H, W) of these places, by one pass more."""
        if len(rows):
            self.trace.passed(rows)
            self.keep(rows, now, logits_of(model, now, self.targets[rows]))

    def keep(self, rows: Tensor, now: Tensor, logits: Tensor) -> None:
        """Note which have succeeded; of the others the one nearest to it so far."""
        is_done, before = self.is_done[rows], self.leads[rows]
        leads = lead(logits, self.targets[rows], targeted=self.targeted).to(before)
        hit = is_adversarial(logits, self.targets[rows], targeted=self.targeted)
        better = ~is_done & (hit | (leads > before))
        self.best[rows[better]] = now[better]
        self.leads[rows] = torch.where(is_done, before, before.maximum(leads))
        self.is_done[rows] |= hit


def warn_of_vanished(trace: Trace, *, stacklevel: int = 3) -> None:
    """Say how many images had nothing to climb."""
    count = int(trace.vanished.sum())
    if count:
        warnings.warn(
            f"the gradient of {count} of {len(trace.vanished)} images is zero at the start, so that they hardly moved: "
            "the loss is saturated (try loss='margin' or 'dlr'), or the network hides it (try square)",
            stacklevel=stacklevel,
        )
