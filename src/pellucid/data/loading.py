"""Decoding in worker processes, in order, with bounded memory; a file that cannot be read becomes a line in a list."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pellucid.checks import check_range
from pellucid.geometry import Geometry

from .image_set import ImageSet, Unreadable
from .sources import Array


@dataclass(frozen=True)
class Batch:
    """A few images of a set, in the set's order."""

    indices: Tensor  # (n,), int64, positions in the set
    pixels: Tensor  # (n, C, H, W), uint8
    errors: tuple[Unreadable, ...]  # the files of this stretch that could not be read

    def images(self, device: str | torch.device = "cpu") -> Tensor:
        """(n, C, H, W), float32, in [0, 1]."""
        return self.pixels.to(device, non_blocking=True).float().div_(255)


def batches(
    images: ImageSet, geometry: Geometry, *, batch_size: int = 32, workers: int | None = None
) -> Iterator[Batch]:
    """Read a set from first to last.

    Args:
        images: the set.
        geometry: the frame every picture is brought to.
        batch_size: pictures a batch, at least 1; an unreadable file makes its batch smaller.
        workers: decoding processes; None: as many as there are cores, at most 4; none for fewer than 64 pictures
            or a set in memory.

    Yields:
        Batch; together they cover every item once. A batch may be empty when all its files failed.
    """
    check_range("batch_size", batch_size, 1)
    if workers is None:
        in_memory = all(isinstance(source, Array) for source in images.sources)
        workers = 0 if in_memory or len(images) < 64 else min(4, os.cpu_count() or 1)
    check_range("workers", workers, 0)
    loader = DataLoader(
        _Reader(images, geometry),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_gather,
        pin_memory=False,
    )
    yield from loader


class _Reader(Dataset[Any]):
    def __init__(self, images: ImageSet, geometry: Geometry) -> None:
        self.images, self.geometry = images, geometry

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor | Unreadable]:
        try:
            return index, self.images.read(index, self.geometry)
        except ValueError as error:
            return index, Unreadable(self.images.items[index].file, str(error))


def _gather(read: list[tuple[int, Tensor | Unreadable]]) -> Batch:
    good = [(index, image) for index, image in read if isinstance(image, Tensor)]
    pixels = torch.stack([image for _, image in good]) if good else torch.empty(0, 0, 0, 0, dtype=torch.uint8)
    indices = torch.tensor([index for index, _ in good], dtype=torch.int64)
    return Batch(indices, pixels, tuple(error for _, error in read if isinstance(error, Unreadable)))
