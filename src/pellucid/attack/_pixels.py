"""A few pixels of an image as numbers that can evolve: drawn, kept apart, painted, listed.

A pixel is 2 + C genes: row and column in pixels, continuous, and a value of each channel, from 0, the lowest that
epsilon allows, to 1, the highest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChangedPixels:
    """The pixels an attack set, k of them; none where nothing helped."""

    rows: Tensor  # (k,), int64
    columns: Tensor  # (k,), int64
    old: Tensor  # (k, C), colours in [0, 1]
    new: Tensor  # (k, C)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_changed(self) -> Tensor:
        """(k,), bool: whether the new colour differs from the old."""
        return (self.old != self.new).any(dim=1)


def drawn(count: int, pixels: int, shape: torch.Size, source: torch.Generator) -> Tensor:
    """Candidates (count, k, 2 + C) for images of this shape: places uniform, colours normal about the middle."""
    channels, height, width = shape[-3:]
    size = torch.tensor([height, width], device=source.device)
    places = torch.rand(count, pixels, 2, generator=source, device=source.device) * size
    colours = 0.5 + 0.5 * torch.randn(count, pixels, channels, generator=source, device=source.device)
    return torch.cat([places, colours.clamp(0, 1)], dim=2)


def inside(genes: Tensor, shape: torch.Size, draws: Tensor) -> Tensor:
    """Candidates (n, P, k, 2 + C) brought back: places reflected at the edges and all different, colours clipped.

    Args:
        genes: (n, P, k, 2 + C).
        shape: of the images, ending in (H, W).
        draws: (P, k), uniform in [0, 1): where the later of two pixels at one place goes.
    """
    height, width = shape[-2:]
    places = torch.stack(
        [_reflected(genes[..., axis], length) for axis, length in enumerate((height, width))], dim=-1
    )  # (n, P, k, 2)
    return torch.cat([_apart(places, height, width, draws), genes[..., 2:].clamp(0, 1)], dim=-1)


def painted(images: Tensor, genes: Tensor, epsilon: float | None, *, is_8bit: bool) -> Tensor:
    """Candidates (n, P, k, 2 + C) of each image (n, C, H, W) as images (P, n, C, H, W)."""
    places, _, new = _colours(images, genes, epsilon, is_8bit=is_8bit)
    flat = images.flatten(2).expand(genes.shape[1], -1, -1, -1).clone()  # (P, n, C, H * W)
    return flat.scatter_(3, places.transpose(0, 1), new.transpose(0, 1)).view(-1, *images.shape)


def listed(images: Tensor, genes: Tensor, epsilon: float | None, *, is_8bit: bool) -> list[ChangedPixels]:
    """The pixels of one candidate (n, k, 2 + C) of each image (n, C, H, W)."""
    places, old, new = (found[:, 0] for found in _colours(images, genes[:, None], epsilon, is_8bit=is_8bit))
    width = images.shape[3]
    return [
        ChangedPixels(place[0] // width, place[0] % width, before.T.contiguous(), after.T.contiguous())
        for place, before, after in zip(places.cpu(), old.cpu(), new.cpu(), strict=True)
    ]


def _colours(images: Tensor, genes: Tensor, epsilon: float | None, *, is_8bit: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Places in the flat image, old and new values of its channels, each (n, P, C, k)."""
    flat = _flat(genes[..., :2], images.shape[3])[:, :, None]  # (n, P, 1, k)
    places = flat.expand(-1, -1, images.shape[1], -1)
    old = images.flatten(2)[:, None].expand(-1, places.shape[1], -1, -1).gather(3, places)
    bound = 1.0 if epsilon is None else epsilon
    low, high = (old - bound).clamp(min=0), (old + bound).clamp(max=1)
    new = (low + (high - low) * genes[..., 2:].transpose(2, 3)).maximum(low).minimum(high)
    if is_8bit:
        lowest, highest = (low * 255 - 1e-3).ceil(), (high * 255 + 1e-3).floor()
        whole = (new * 255).round().maximum(lowest).minimum(highest) / 255
        new = torch.where(lowest <= highest, whole, old)  # the old colour where epsilon allows none of the grid
    return places, old, new


def _flat(places: Tensor, width: int) -> Tensor:
    """Rows and columns (..., 2) as places in the flat image (...), int64."""
    whole = places.floor().long()
    return whole[..., 0] * width + whole[..., 1]


def _reflected(values: Tensor, length: int) -> Tensor:
    """Values brought into [0, length), reflected at both ends as often as it takes."""
    there = values.remainder(2 * length)
    back = torch.where(there < length, there, 2 * length - there)
    return back.clamp(max=length - 0.5 * length * torch.finfo(values.dtype).eps).clamp(min=0)


def _apart(places: Tensor, height: int, width: int, draws: Tensor) -> Tensor:
    """Places (n, P, k, 2) of which no two fall on one pixel: the later goes to the middle of a free one."""
    flat = _flat(places, width)  # (n, P, k)
    ordered = flat.sort(dim=2).values
    if not bool((ordered[..., 1:] == ordered[..., :-1]).any()):
        return places
    free = flat.clone()
    for later in range(1, flat.shape[2]):
        taken = free[..., :later]
        clashes = (taken == free[..., later, None]).any(dim=2)
        fresh = (draws[:, later] * (height * width - later)).long().expand_as(clashes)  # its number among the free
        for place in taken.sort(dim=2).values.unbind(dim=2):
            fresh = fresh + (fresh >= place)
        free[..., later] = torch.where(clashes, fresh, free[..., later])
    middles = torch.stack([free // width, free % width], dim=-1) + 0.5
    return torch.where((free != flat)[..., None], middles.to(places), places)
