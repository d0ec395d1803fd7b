"""The batches of an epoch: shuffled by (seed, epoch) alone, augmented in large blocks, cut to size.

Augmenting a thousand images at once costs far less than a thousand times one, and a step may still be small: what an
image becomes does not depend on the block it is in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

from . import augment
from .augment import Policy
from .augment._hashing import number
from .memory import Pixels

BLOCK = 1024
"""Images augmented at once, where they are small."""

BLOCK_BYTES = 64 * 2**20
"""What a block may take, as floats."""


@dataclass(frozen=True)
class Batches:
    """Call it with an epoch's number for that epoch's batches; `len` counts them."""

    pixels: Pixels
    batch_size: int
    seed: int
    policy: Policy
    shuffle: bool
    drop_last: bool
    shard: tuple[int, int]

    def __len__(self) -> int:
        count = len(self.pixels)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def order(self, epoch: int) -> Tensor:
        """(N,), int64: the set's images in the order of an epoch."""
        if not self.shuffle:
            return torch.arange(len(self.pixels))
        generator = torch.Generator().manual_seed(number(self.seed, epoch))
        return torch.randperm(len(self.pixels), generator=generator)

    def shares(self, epoch: int) -> list[Tensor]:
        """This process's images of each batch of an epoch: their places in the set, each (n,), int64."""
        check_range("epoch", epoch, 0)
        rank, world = self.shard
        return [batch[rank::world] for batch in torch.split(self.order(epoch), self.batch_size)[: len(self)]]

    def __call__(self, epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (n, C, H, W), float, in [0, 1], and targets (n,), batch by batch from the skip-th on; epoch from 0."""
        check_range("skip", skip, 0)
        shares = self.shares(epoch)
        together = self._batches_a_block()
        for first in range(skip, len(shares), together):
            block = shares[first : first + together]
            chosen = torch.cat(block)
            there = chosen.to(self.pixels.pixels.device)
            images = self.policy(self.pixels.pixels.index_select(0, there), chosen, self.seed, epoch)
            targets = self.pixels.targets.index_select(0, there)
            sizes = [len(one) for one in block]
            for some, their in zip(torch.split(images, sizes), torch.split(targets, sizes), strict=True):
                yield _floats(some), their

    def _batches_a_block(self) -> int:
        """How many of this process's batches are augmented together."""
        images = min(BLOCK, BLOCK_BYTES // (4 * self.pixels.pixels[0].numel()))
        return max(1, images * self.shard[1] // self.batch_size)


def batches_of(
    pixels: Pixels,
    *,
    batch_size: int = 128,
    seed: int = 0,
    policy: Policy | str = "none",
    shuffle: bool = True,
    drop_last: bool = True,
    shard: tuple[int, int] = (0, 1),
) -> Batches:
    """The batches of a set in memory, epoch by epoch.

    Args:
        pixels: the set.
        batch_size: images a step, of all processes together, at least 1.
        seed: of the order and the augmentation; nothing else decides them.
        policy: augmentation, as a Policy or its text.
        shuffle: a new order every epoch; else the set's own.
        drop_last: leave out the last batch when it is smaller.
        shard: (rank, world): this process's number and how many there are; each gets every world-th image of a batch.

    Returns:
        A callable (epoch, skip=0) -> iterator of (images, targets).

    Raises:
        ValueError: no batch would come out, or processes would get unequal shares.
    """
    check_count("batch_size", batch_size, 1)
    if drop_last and batch_size > len(pixels):
        raise ValueError(f"batch_size must be at most {len(pixels)}, the number of images, got {batch_size}")
    rank, world = shard
    check_count("shard's world", world, 1)
    check_count("shard's rank", rank, 0, world - 1)
    if batch_size % world or (world > 1 and not drop_last):
        raise ValueError(f"batch_size must be a multiple of {world} processes, with drop_last, got {batch_size}")
    chosen = augment.policy(policy) if isinstance(policy, str) else policy
    return Batches(pixels, batch_size, seed, chosen, shuffle, drop_last, (rank, world))


def _floats(images: Tensor) -> Tensor:
    return images if images.is_floating_point() else images.float().div_(255)
