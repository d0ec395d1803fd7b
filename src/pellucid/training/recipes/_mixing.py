"""Batches whose pictures are mixed with one another, drawn anew at every step; and how they lie in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_range
from pellucid.data import Batches, augment

Pairs: TypeAlias = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Mixed:
    """The batches of a set, mixed by one of several ways, in turn from batch to batch."""

    batches: Batches
    ways: tuple[tuple[Callable[..., tuple[Tensor, Tensor]], float], ...]  # and the alpha of each

    def __len__(self) -> int:
        return len(self.batches)

    def __call__(self, epoch: int, skip: int = 0) -> Pairs:
        """As the batches; targets are (n, K), rows that sum to 1."""
        classes, seed = len(self.batches.pixels.classes), self.batches.seed
        for place, (images, targets) in enumerate(self.batches(epoch, skip), skip):
            mix, alpha = self.ways[(epoch + place) % len(self.ways)]
            yield mix(images, targets, classes, alpha=alpha, seed=seed, epoch=epoch, step=place)


def mixed(batches: Batches, *, mixup: float, cutmix: float) -> Batches | Mixed:
    """The batches, mixed by mixup, by CutMix, or by both in turn; as they are where both are 0."""
    check_range("mixup", mixup, 0)
    check_range("cutmix", cutmix, 0)
    ways = tuple((mix, alpha) for mix, alpha in ((augment.mixup, mixup), (augment.cutmix, cutmix)) if alpha)
    return Mixed(batches, ways) if ways else batches


@dataclass(frozen=True)
class ChannelsLast:
    """Batches whose images lie in memory as (N, H, W, C)."""

    batches: Batches | Mixed

    def __len__(self) -> int:
        return len(self.batches)

    def __call__(self, epoch: int, skip: int = 0) -> Pairs:
        """As the batches."""
        for images, targets in self.batches(epoch, skip):
            yield images.contiguous(memory_format=torch.channels_last), targets


def laid_out(batches: Batches | Mixed, *, channels_last: bool) -> Batches | Mixed | ChannelsLast:
    """The batches, in the wanted layout."""
    return ChannelsLast(batches) if channels_last else batches
