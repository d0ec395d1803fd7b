"""A labelled set held in memory as bytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pellucid.geometry import Geometry
from pellucid.progress import steps as progress

from ._decoded import cached_file, keep, load
from .image_set import ImageSet, Unreadable
from .loading import batches
from .sources import Array

BUDGET = 8 * 2**30
"""Bytes that a set in memory may take where nobody says otherwise."""


@dataclass(frozen=True)
class Pixels:
    """A labelled set in memory; a fourth of the room that floats would take."""

    pixels: Tensor  # (N, C, H, W), uint8
    targets: Tensor  # (N,), int64, in [0, K), on the same device
    classes: tuple[str, ...]  # (K,)
    files: tuple[str, ...]  # (N,)

    def __len__(self) -> int:
        return len(self.pixels)

    def subset(self, indices: Tensor | Sequence[int]) -> "Pixels":
        """Only these images, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        there = chosen.to(self.pixels.device)
        files = tuple(self.files[place] for place in chosen.tolist())
        return replace(self, pixels=self.pixels[there], targets=self.targets[there], files=files)

    def to(self, device: str | torch.device) -> "Pixels":
        """The same set on a device."""
        return replace(self, pixels=self.pixels.to(device), targets=self.targets.to(device))

    def images(self, indices: Tensor | slice = slice(None)) -> Tensor:
        """(n, C, H, W), float32, in [0, 1]."""
        return self.pixels[indices].float().div_(255)


def in_memory(
    images: ImageSet,
    geometry: Geometry,
    *,
    budget: int = BUDGET,
    workers: int | None = None,
    cache: bool = True,
) -> Pixels:
    """Read a whole labelled set.

    Args:
        images: the set.
        geometry: the frame every picture is brought to.
        budget: bytes it may take.
        workers: decoding processes, as of `batches`.
        cache: keep 5,000 pictures and more, decoded, in the user's cache folder for the next time.

    Raises:
        ValueError: a picture that cannot be read or has no label, an empty set, or more bytes than the budget.
    """
    shape = (len(images), geometry.channels, *geometry.size)
    _refuse(images, shape, budget)
    pixels = _from_arrays(images, geometry)
    if pixels is None:
        file = cached_file(images, geometry) if cache else None
        pixels = load(file, shape) if file else None
        if pixels is None:
            pixels = _decoded(images, geometry, shape, workers)
            if file:
                keep(file, pixels)
    return Pixels(pixels, images.targets, images.classes, tuple(item.file for item in images.items))


def _refuse(images: ImageSet, shape: tuple[int, ...], budget: int) -> None:
    """Refuse a set that is empty, too large or not labelled throughout."""
    if not len(images):
        raise ValueError(f"{images.path}: holds no picture")
    needed = math.prod(shape)
    if needed > budget:
        raise ValueError(
            f"{images.path}: {shape[0]:,} images of {' x '.join(map(str, shape[1:]))} need {needed:,} bytes, the "
            f"budget is {budget:,}: make them smaller, take fewer, or raise the budget"
        )
    without = [item.file for item in images.items if item.target is None]
    if without:
        raise ValueError(f"{images.path}: {_counted(len(without))} without a label, the first {without[0]}")


def _from_arrays(images: ImageSet, geometry: Geometry) -> Tensor | None:
    """The pictures of a set that lies in memory in that size and in these channels already; None for any other."""
    if geometry.resized(*geometry.size) != geometry.size:
        return None
    pixels = torch.empty(len(images), geometry.channels, *geometry.size, dtype=torch.uint8)
    sources = torch.tensor([item.source for item in images.items])
    names = [item.name for item in images.items]
    for place, source in enumerate(images.sources):
        here = (sources == place).nonzero()[:, 0]
        if len(here) == 0:
            continue
        if not isinstance(source, Array) or source.pixels.shape[1:3] != geometry.size:
            return None
        if source.pixels.ndim == 4 and geometry.channels == 1:
            return None
        taken = torch.from_numpy(source.pixels[[int(names[one]) for one in here.tolist()]])  # (n, H, W) or (n, H, W, 3)
        pixels[here] = taken[:, None] if taken.ndim == 3 else taken.permute(0, 3, 1, 2)
    return pixels


def _decoded(images: ImageSet, geometry: Geometry, shape: tuple[int, ...], workers: int | None) -> Tensor:
    """The pictures (N, C, H, W), uint8, in the set's order; refuses a set of which one cannot be read."""
    pixels = torch.empty(shape, dtype=torch.uint8)
    failed: list[Unreadable] = []
    with progress("reading", len(images)) as done:
        for batch in batches(images, geometry, batch_size=512, workers=workers):
            if len(batch.indices):
                pixels[batch.indices] = batch.pixels
            failed += batch.errors
            done(len(batch.indices) + len(batch.errors))
    if failed:
        first = f"{failed[0].file}: {failed[0].reason}; mend or remove {'it' if len(failed) == 1 else 'them'}"
        raise ValueError(f"{images.path}: {_counted(len(failed))} cannot be read, the first {first}")
    return pixels


def _counted(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
