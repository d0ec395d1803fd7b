"""The gradient of an attack's loss with respect to the images, and the logits met on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.models import differentiate, evaluate, unvaried

from ._losses import Loss
from ._question import check_logits


@dataclass(frozen=True)
class Slope:
    """What one question about each image told."""

    gradient: Tensor  # (N, C, H, W)
    logits: Tensor  # (N, K), float32 at least
    value: Tensor  # (N,), the loss
    passes: int = 1  # forward, and as many backward, of each image


def slope(model: nn.Module, images: Tensor, targets: Tensor, loss: Loss, *, is_checked: bool = False) -> Slope:
    """The loss of each image, its gradient and the logits; `is_checked` where such outputs were looked at before."""
    kept = _Kept(len(images))

    def score(outputs: Any, rows: Tensor) -> Tensor:
        own = targets if len(rows) == len(targets) and not targets.is_inference() else targets[rows]
        logits = outputs if is_checked and outputs.dtype.itemsize > 2 else check_logits(outputs, own)
        value = loss(logits, own)
        kept.keep(rows, logits, value)
        return value

    gradient = differentiate(model, unvaried(images), score, lambda found, *_: found, label="climbing")[0]
    return Slope(gradient, kept.logits, kept.value)


def logits_of(model: nn.Module | Callable[[Tensor], Any], images: Tensor, targets: Tensor) -> Tensor:
    """Logits (N, K) of the images; targets (N,) only to be checked against them."""
    return evaluate(model, unvaried(images), lambda out, rows: check_logits(out, targets[rows]), label="checking")[0]


class _Kept:
    """What passes by on the way to a gradient."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.logits = self.value = torch.empty(0)

    def keep(self, rows: Tensor, logits: Tensor, value: Tensor) -> None:
        if len(rows) == self.count:
            self.logits, self.value = logits.detach(), value.detach()
            return
        if not len(self.value):
            self.logits = logits.new_empty(self.count, logits.shape[1], requires_grad=False)
            self.value = value.new_empty(self.count, requires_grad=False)
        self.logits[rows], self.value[rows] = logits.detach(), value.detach()
