"""What gradients count in the cells of patches on a grid: spread by direction, then summed under two windows."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ._gradients import SCALE, orientations

CELLS = 4
"""A patch has so many rows and so many columns of cells."""

WORTH = 2**17
"""Pixels of an image that are worth a thread of their own."""


@dataclass(frozen=True)
class Cells:
    """How patches lie, and how what is in them counts."""

    patch: int
    stride: int
    bins: int
    orientation: str
    reach: int  # pixels outside the patch that count too
    sigma: float

    @property
    def taps(self) -> int:
        """Pixels across a patch that count."""
        return self.patch + 2 * self.reach

    @property
    def together(self) -> int:
        """Columns of patches that are summed by one product, so that it is not too small to be fast."""
        return max(1, self.patch // self.stride)

    def lines(self, rows: int) -> int:
        """Lines of an image that so many rows of patches need, a multiple of the stride."""
        return -(-((rows - 1) * self.stride + self.taps) // self.stride) * self.stride

    def across(self, width: int) -> int:
        """Pixels of a line with its margins, a multiple of those that patches summed together begin in."""
        step = self.together * self.stride
        return -(-(width + 2 * self.reach) // step) * step


class Counter:
    """Counts one part of the work after another in one piece of memory.

    Args:
        cells: how patches lie.
        like: a tensor of the type and device to work with.
        images: at most, of one part.
        rows: of patches at most, of one part.
        width: of the images.
    """

    def __init__(self, cells: Cells, like: Tensor, images: int, rows: int, width: int) -> None:
        self.cells, self.width, self.across = cells, width, cells.across(width)
        down, right = weights(cells.patch, cells.sigma, cells.reach), aside(cells)
        self.down, self.right = (down / SCALE).to(like), right.to(like)
        wide = self.across * cells.bins
        windows = images * cells.lines(rows) // cells.stride
        spare = max(0, cells.taps - cells.stride)  # so that every stride of lines starts a window
        self.spread = like.new_empty((windows * cells.stride + spare) * wide)
        self.summed = like.new_empty(windows * CELLS * wide + self.right.shape[1] * cells.bins)
        line = torch.arange(images * cells.lines(rows), dtype=torch.int32, device=like.device)
        column = torch.arange(cells.reach, cells.reach + width, dtype=torch.int32, device=like.device)
        self.places = (line * wide)[:, None] + column * cells.bins  # (lines, W), of each pixel's first direction

    def __call__(self, framed: Tensor, first: int, out: Tensor) -> None:
        """Put sums into out (n, rows, columns, 4, 4, bins), of patches from row `first`, of images framed by a pixel.

        The images lie below each other, each a multiple of the stride high; windows that reach from one into the next
        are summed too and dropped, so that there is but one product for all.
        """
        cells, (count, rows, columns) = self.cells, out.shape[:3]
        deep, wide = cells.lines(rows), self.across * cells.bins
        windows = count * deep // cells.stride
        used = self.spread[: (windows * cells.stride + max(0, cells.taps - cells.stride)) * wide].zero_()
        self._spread(used, framed, first, rows, deep)
        steps = used.as_strided((windows, cells.taps, wide), (cells.stride * wide, wide, 1))
        sums = self.summed[: windows * CELLS * wide]
        torch.bmm(self.down.expand(windows, -1, -1), steps, out=sums.view(windows, CELLS, wide))
        self.summed[len(sums) : len(sums) + self.right.shape[1] * cells.bins] = 0  # read past the end, counts nothing
        group = cells.together * cells.stride * cells.bins
        groups = sums.numel() // group
        steps = self.summed.as_strided((groups, self.right.shape[1], cells.bins), (group, cells.bins, 1))
        found = torch.bmm(self.right.expand(groups, -1, -1), steps)  # (groups, together * 4, bins)
        found = found.view(count, -1, CELLS, self.across // cells.stride, CELLS * cells.bins)
        out.flatten(4).copy_(found[:, :rows, :, :columns].transpose(2, 3))

    def _spread(self, used: Tensor, framed: Tensor, first: int, rows: int, deep: int) -> None:
        """Every pixel's magnitude to its place: by image, line, column and direction."""
        cells = self.cells
        top = first * cells.stride - cells.reach
        low = max(top, 0)
        high = min(top + (rows - 1) * cells.stride + cells.taps, framed.shape[1] - 2)
        start = self.places[: len(framed) * deep].view(len(framed), deep, -1)[:, low - top : high - top]
        for place, strength in orientations(framed[:, low : high + 2], cells.bins, cells.orientation):
            used.index_add_(0, place.add_(start).view(-1), strength.view(-1))


def parts(count: int, rows: int, cells: Cells, width: int, *, pixels: int, threads: int) -> list[tuple[slice, slice]]:
    """Images and rows of patches that are worked on at a time; which changes time and memory, never the result.

    Args:
        count: images.
        rows: of patches, of an image.
        cells: how patches lie.
        width: of the images.
        pixels: of a part, at most where one row of patches has not more.
        threads: that wait for a part; large images are cut for them.
    """
    whole = width * cells.lines(rows)
    bands = max(-(-whole // pixels), min(-(-threads // count), whole // WORTH, rows), 1)
    band = -(-rows // bands)
    some = max(1, min(count // threads, pixels // whole)) if bands == 1 else 1
    return [
        (slice(start, min(start + some, count)), slice(first, min(first + band, rows)))
        for start in range(0, count, some)
        for first in range(0, rows, band)
    ]


@cache
def weights(patch: int, sigma: float, reach: int) -> Tensor:
    """How much a pixel's row counts for each row of cells, (4, patch + 2 * reach), float64; for columns the same."""
    cell = patch // CELLS
    pixel = torch.arange(-reach, patch + reach, dtype=torch.float64)
    gauss = (-0.5 * ((pixel - (patch - 1) / 2) / sigma).square()).exp()
    middles = (torch.arange(CELLS) + 0.5) * cell - 0.5
    far = (pixel - middles[:, None]).abs() / cell  # (4, patch + 2 * reach), in cells
    return gauss * ((1 - far).clamp(min=0) if reach else (far < 0.5).double())


@cache
def aside(cells: Cells) -> Tensor:
    """`weights` of neighbouring patches below each other, (together * 4, taps and steps), float64."""
    own = weights(cells.patch, cells.sigma, cells.reach)
    whole = own.new_zeros(cells.together, CELLS, cells.taps + (cells.together - 1) * cells.stride)
    for number, rows in enumerate(whole):
        rows[:, number * cells.stride :][:, : cells.taps] = own
    return whole.flatten(0, 1)
