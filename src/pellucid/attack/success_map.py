"""Which classes can be turned into which: a targeted attack of every image on every other class.

J. Su, D. V. Vargas, K. Sakurai, "One Pixel Attack for Fooling Deep Neural Networks", IEEE Transactions on Evolutionary
Computation 2019, section 4.3. https://arxiv.org/abs/1710.08864
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.metrics import Interval, proportion

from ._question import check_attack
from ._slopes import logits_of
from .outcome import outcome


@dataclass(frozen=True)
class SuccessMap:
    """Of the images that were called right, how many of each class became each other class."""

    success: Tensor  # (K, K), int64: images of class [row] that were called class [column] in the end
    tried: Tensor  # (K, K), int64: images of class [row] that were meant for class [column]; 0 on the diagonal
    reached: Tensor  # (N,), int64: classes each image was turned into; -1 where the image was called wrong before

    @property
    def rates(self) -> Tensor:
        """(K, K), float32, share of successes; NaN where nothing was tried."""
        return self.success.float() / self.tried

    @property
    def rate(self) -> Interval:
        """Share of all targeted attacks that succeeded."""
        return proportion(int(self.success.sum()), int(self.tried.sum()))

    @property
    def rate_of_images(self) -> Interval:
        """Share of the images that were turned into one other class at least."""
        return proportion(int((self.reached > 0).sum()), int((self.reached >= 0).sum()))


def success_map(
    attack: Callable[..., Tensor], model: nn.Module | Callable[[Tensor], Any], images: Tensor, targets: Tensor
) -> SuccessMap:
    """Turn every image that is called right into every other class, or try.

    Args:
        attack: is called as attack(model, images, targets, targeted=True): one that takes options by functools.partial.
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K).
        images: (N, C, H, W), in [0, 1].
        targets: (N,), int64, the true classes.

    Raises:
        ValueError: images or targets are none, no image is called right, or what the attack refuses.
    """
    images, targets = check_attack(model, images, targets)
    logits = logits_of(model, images, targets)
    right = logits.argmax(dim=1) == targets
    if not bool(right.any()):
        raise ValueError("targets must be the true classes, got none that the model calls: is the order another one?")
    classes = logits.shape[1]
    success, tried = (torch.zeros(classes, classes, dtype=torch.int64) for _ in range(2))
    reached = torch.where(right, 0, -1)
    for wanted in range(classes):
        rows = (right & (targets != wanted)).nonzero()[:, 0]
        if not len(rows):
            continue
        goals = torch.full_like(rows, wanted)
        made = attack(model, images[rows], goals, targeted=True)
        hit = outcome(model, images[rows], made, goals, targeted=True).success
        own = targets[rows].cpu()
        tried[:, wanted] = own.bincount(minlength=classes)
        success[:, wanted] = own[hit].bincount(minlength=classes)
        reached[rows] += hit.to(rows.device).long()
    return SuccessMap(success, tried, reached.cpu())
