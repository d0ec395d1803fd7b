"""Images before and after augmentation, to be looked at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count
from pellucid.data.memory import Pixels

from .policy import Policy


@dataclass(frozen=True)
class Pairs:
    """A few images as they are and as they are met in training."""

    before: Tensor  # (n, C, H, W), float, in [0, 1]
    after: Tensor  # (n, C, h, w), float, in [0, 1]
    classes: tuple[str, ...]  # (n,): the class of each
    told: tuple[str, ...]  # (n,): what was done to each


def augmentation_pairs(pixels: Pixels, policy: Policy, *, count: int = 5, seed: int = 0, epoch: int = 0) -> Pairs:
    """The very images training sees in an epoch, beside what they were made of.

    Args:
        pixels: the training set.
        policy: what is done to it.
        count: pairs, at least 1; evenly spaced over the set.
        seed: of training.
        epoch: from 0.
    """
    check_count("count", count, 1)
    chosen = torch.linspace(0, len(pixels) - 1, min(count, len(pixels))).long()
    before = pixels.pixels[chosen.to(pixels.pixels.device)]
    drawn = policy.draw(chosen, before.shape, seed=seed, epoch=epoch)
    after = policy.apply(before, drawn).images
    return Pairs(
        before=before.float() / 255,
        after=after.float() / 255 if after.dtype == torch.uint8 else after,
        classes=tuple(pixels.classes[pixels.targets[place]] for place in chosen.tolist()),
        told=tuple(drawn.text(place) for place in range(len(chosen))),
    )
