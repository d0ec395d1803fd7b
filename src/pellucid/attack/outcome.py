"""What an attack came to, measured from scratch: the attack's own bookkeeping is not asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.metrics import Interval, proportion
from pellucid.models import are_probabilities

from ._balls import sizes
from ._question import check_attack, is_adversarial
from ._slopes import logits_of


@dataclass(frozen=True)
class Outcome:
    """Of each image what it was called and is called now, and how much of it was changed.

    `is_done` marks the images that needed no attack: misclassified before (targeted: called the target before).
    """

    targets: Tensor  # (N,), int64, the true classes; of a targeted attack the classes to reach
    targeted: bool
    success: Tensor  # (N,), bool: not called the label any more; targeted: called the target
    success_8bit: Tensor  # (N,), bool: the same after rounding to 1/255, which is what a picture file keeps
    is_done: Tensor  # (N,), bool: so already before the attack
    before: Tensor  # (N,), int64, the class called before
    after: Tensor  # (N,), int64, the class called now
    probability_before: Tensor  # (N,), float32, of the class called before
    probability_after: Tensor  # (N,), float32, of the class called now
    target_before: Tensor  # (N,), float32, probability of the target
    target_after: Tensor  # (N,), float32
    l0: Tensor  # (N,), int64, pixels of which any channel changed
    l1: Tensor  # (N,), in image units
    l2: Tensor  # (N,), in image units
    linf: Tensor  # (N,), in image units

    def __len__(self) -> int:
        return len(self.success)

    @property
    def attacked(self) -> int:
        """Images that needed an attack: the success rate is a share of these."""
        return int((~self.is_done).sum())

    @property
    def rate(self) -> Interval:
        """Share of successes among the attacked images, with its Wilson interval; NaN where there were none."""
        return self._share(self.success)

    @property
    def rate_8bit(self) -> Interval:
        """The same among the images as a picture file keeps them."""
        return self._share(self.success_8bit)

    @property
    def accuracy(self) -> Interval:
        """Share of all images still called by their label; of a targeted attack the share not called the target."""
        return proportion(int((~self.success).sum()), len(self))

    def _share(self, hits: Tensor) -> Interval:
        if not self.attacked:
            return Interval(float("nan"), float("nan"), float("nan"))
        return proportion(int((hits & ~self.is_done).sum()), self.attacked)


def outcome(
    model: nn.Module | Callable[[Tensor], Any],
    images: Tensor,
    adversarial: Tensor,
    targets: Tensor,
    *,
    targeted: bool = False,
) -> Outcome:
    """Ask the model again about clean and adversarial images, and measure the changes.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K).
        images: (N, C, H, W), clean, in [0, 1].
        adversarial: (N, C, H, W), what an attack made of them, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        targeted: the attack was to reach the targets.

    Raises:
        ValueError: shapes differ, a value is outside [0, 1], or the model gives no logits.
    """
    images, targets = check_attack(model, images, targets)
    if adversarial.shape != images.shape:
        raise ValueError(
            f"adversarial must have the images' shape {tuple(images.shape)}, got {tuple(adversarial.shape)}"
        )
    low, high = (float(bound) for bound in adversarial.detach().aminmax())
    if not 0 <= low <= high <= 1:
        raise ValueError(f"adversarial must be in [0, 1], got {low:.4g} to {high:.4g}")
    adversarial = adversarial.detach().to(images)
    every = torch.cat([images, adversarial, (adversarial * 255).round() / 255])  # one plan: three of each
    logits = logits_of(model, every, targets.repeat(3))
    chances = logits if are_probabilities(logits) else logits.softmax(dim=1)
    clean, now, rounded = logits.chunk(3)
    before, after, _ = chances.chunk(3)
    change = adversarial - images
    own = targets[:, None]
    return Outcome(
        targets=targets.cpu(),
        targeted=targeted,
        success=is_adversarial(now, targets, targeted=targeted).cpu(),
        success_8bit=is_adversarial(rounded, targets, targeted=targeted).cpu(),
        is_done=is_adversarial(clean, targets, targeted=targeted).cpu(),
        before=clean.argmax(dim=1).cpu(),
        after=now.argmax(dim=1).cpu(),
        probability_before=before.amax(dim=1).float().cpu(),
        probability_after=after.amax(dim=1).float().cpu(),
        target_before=before.gather(1, own)[:, 0].float().cpu(),
        target_after=after.gather(1, own)[:, 0].float().cpu(),
        l0=(change != 0).any(dim=1).sum(dim=(1, 2)).cpu(),
        l1=sizes(change, "l1").cpu(),
        l2=sizes(change, "l2").cpu(),
        linf=sizes(change, "linf").cpu(),
    )
