"""Jigsaw: pictures cut in four quarters, the quarters exchanged, and put back.

M. Noroozi, P. Favaro, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles", ECCV 2016.
https://arxiv.org/abs/1603.09246 (nine tiles there, four here, which allow all 24 permutations)

Quarters are 0 top left, 1 top right, 2 bottom left, 3 bottom right. A label 0 to 23 is the rank of a permutation pi of
them in lexicographic order, 0 the identity; at place q of a shuffled picture lies quarter pi(q) of the original.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

from .augment._hashing import number
from .memory import Pixels

COUNT = 24
"""Permutations of four quarters."""

_ALL = tuple(permutations(range(4)))


def permutation(labels: Tensor) -> Tensor:
    """pi of each label: (N, 4), int64; entry q is the quarter that lies at place q.

    Args:
        labels: (N,), int64, in [0, 24).

    Raises:
        ValueError: labels of another kind or out of range.
    """
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dtype == torch.bool or labels.ndim != 1:
        given = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels must be whole numbers (N,), got {given}")
    outside = (labels < 0) | (labels >= COUNT)
    if outside.any():
        raise ValueError(f"labels must be in [0, {COUNT - 1}], got {int(labels[outside][0])}")
    return torch.tensor(_ALL, device=labels.device)[labels]


def label_of(pi: Tensor) -> Tensor:
    """The label (N,), int64, of each permutation (N, 4): what `permutation` takes back.

    Raises:
        ValueError: a row is no permutation of 0, 1, 2, 3.
    """
    every = torch.tensor(_ALL, device=pi.device)
    same = (pi[:, None] == every).all(dim=2) if pi.ndim == 2 and pi.shape[1] == 4 else pi.new_zeros(1, 1).bool()
    if not same.any(dim=1).all():
        raise ValueError(f"pi must be rows (N, 4), each a permutation of 0, 1, 2, 3, got {pi.tolist()}")
    return same.int().argmax(dim=1)


def shuffle(images: Tensor, labels: Tensor) -> Tensor:
    """Exchange the quarters of each image by its label; every pixel stays as it is.

    Args:
        images: (N, C, H, W), any kind of number, H and W even.
        labels: (N,), int64, in [0, 24).

    Returns:
        (N, C, H, W), as images.

    Raises:
        ValueError: an odd side, or labels that are out of range or not one an image.
    """
    return _placed(images, labels, permutation(labels))


def deshuffle(images: Tensor, labels: Tensor) -> Tensor:
    """Put the quarters of each image, shuffled by its label, back: the inverse of `shuffle`.

    Args:
        images: (N, C, H, W), any kind of number, H and W even.
        labels: (N,), int64, in [0, 24): by which each was shuffled.

    Returns:
        (N, C, H, W), as images.

    Raises:
        ValueError: as shuffle.
    """
    return _placed(images, labels, permutation(labels).argsort(dim=1))


def augment_all(images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """All 24 shuffles of each image, each with its own label.

    Args:
        images: (N, C, H, W), H and W even.
        labels: (N,) by which the images have been shuffled already, to be restored first; None: they are whole.

    Returns:
        (24 N, C, H, W), 24 of each image in turn, and their labels (24 N,), int64: 0 to 23, N times.

    Raises:
        ValueError: as shuffle.
    """
    whole = images if labels is None else deshuffle(images, labels)
    every = torch.arange(COUNT, device=images.device).repeat(len(whole))  # (24 N,)
    return shuffle(whole.repeat_interleave(COUNT, dim=0), every), every


@dataclass(frozen=True)
class Accuracy:
    """How well shuffled pictures were seen through."""

    top1: float  # share of pictures whose whole permutation is right, in [0, 1]; by chance 1/24
    quarter: float  # mean share of quarters that are right, in [0, 1]; by chance 1/4
    count: int  # pictures


def accuracy(predicted: Tensor, labels: Tensor) -> Accuracy:
    """Share of permutations and of quarters that are right; top1 <= quarter <= top1 + (1 - top1) / 2.

    Args:
        predicted: (N,), int64, in [0, 24).
        labels: (N,), int64, in [0, 24), the truth.

    Raises:
        ValueError: labels out of range, none at all, or not as many as predicted.
    """
    if predicted.shape != labels.shape or len(labels) == 0:
        raise ValueError(f"predicted must be one a label, at least one, got {len(predicted)} for {len(labels)}")
    right = permutation(predicted) == permutation(labels)  # (N, 4)
    return Accuracy(float(right.all(dim=1).double().mean()), float(right.double().mean()), len(labels))


@dataclass(frozen=True)
class JigsawBatches:
    """All 24 shuffles of every picture of a set, once an epoch, made as they are needed.

    Item i is picture i // 24 shuffled by label i % 24; the order goes by (seed, epoch) alone. The last batch is left
    out where it is smaller.
    """

    pixels: Pixels
    batch_size: int  # of all processes together
    seed: int
    shard: tuple[int, int] = (0, 1)  # this process's number, and how many there are

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size, 1, COUNT * len(self.pixels))
        if self.batch_size % self.shard[1]:
            raise ValueError(f"batch_size must be a multiple of {self.shard[1]} processes, got {self.batch_size}")

    def __len__(self) -> int:
        return COUNT * len(self.pixels) // self.batch_size

    def __call__(self, epoch: int, skip: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled images (n, C, H, W), float, in [0, 1], and labels (n,), from the skip-th batch on; epoch from 0."""
        check_range("epoch", epoch, 0)
        check_range("skip", skip, 0)
        generator = torch.Generator().manual_seed(number(self.seed, epoch))
        order = torch.randperm(COUNT * len(self.pixels), generator=generator)
        rank, world = self.shard
        for items in torch.split(order, self.batch_size)[skip : len(self)]:
            mine = items[rank::world].to(self.pixels.pixels.device)
            labels = mine % COUNT
            yield shuffle(self.pixels.images(mine // COUNT), labels), labels


def _placed(images: Tensor, labels: Tensor, order: Tensor) -> Tensor:
    """Quarter order[n, q] of each image at place q."""
    if images.ndim != 4 or len(images) != len(labels):
        raise ValueError(f"images must be (N, C, H, W), one a label ({len(labels)}), got {tuple(images.shape)}")
    height, width = images.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(
            f"images must have even sides to be cut in quarters, got {tuple(images.shape)}: crop them to "
            f"{height - height % 2} x {width - width % 2}"
        )
    count, channels, high, wide = len(images), images.shape[1], height // 2, width // 2
    quarters = images.reshape(count, channels, 2, high, 2, wide)
    quarters = quarters.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (N, 4, C, H/2, W/2)
    chosen = quarters[torch.arange(len(images), device=images.device)[:, None], order.to(images.device)]
    grid = chosen.reshape(count, 2, 2, channels, high, wide).permute(0, 3, 1, 4, 2, 5)  # (N, C, 2, H/2, 2, W/2)
    return grid.reshape(images.shape)
