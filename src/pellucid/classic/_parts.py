"""Parts of an image: the whole, its quarters, their quarters; and in which of them each patch lies."""

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_count

Size: TypeAlias = tuple[int, int] | Sequence[tuple[int, int]]
"""Rows and columns of a grid of patches; or of several grids over the same image, one after the other."""


def grids(size: Size | None, patches: int, levels: int) -> tuple[tuple[int, int], ...]:
    """Rows and columns of each grid, which are so many patches together, and enough for so many levels.

    Raises:
        ValueError: they are not.
    """
    check_count("levels", levels, 1)
    if size is None and levels > 1:
        raise ValueError(f"size must be rows and columns of the {patches} patches for {levels} levels, got None")
    known = torch.tensor(size or (1, patches)).view(-1, 2)
    found = tuple((int(rows), int(columns)) for rows, columns in known)
    told = ", ".join(f"{rows} x {columns}" for rows, columns in found)
    if sum(rows * columns for rows, columns in found) != patches:
        raise ValueError(f"size must be rows and columns of the {patches} patches, got {told}")
    if min(map(min, found)) < 2 ** (levels - 1):
        raise ValueError(f"levels must leave each part a patch, got {levels} for {told} patches")
    return found


@cache
def parts(known: tuple[tuple[int, int], ...], sides: int) -> Tensor:
    """The part each patch's middle lies in, (P,), int64, of sides x sides parts, row by row."""
    found = []
    for size in known:
        down, across = (((torch.arange(long) * 2 + 1) * sides) // (2 * long) for long in size)
        found.append((down[:, None] * sides + across).flatten())
    return torch.cat(found)


def upwards(finest: Tensor, levels: int, *, is_max: bool = False) -> list[Tensor]:
    """What parts say, (N, parts, ...), level by level from the whole on: sums, or maxima, of their 2 x 2 parts.

    Args:
        finest: (N, 4 ** (levels - 1), ...), what the finest parts say, row by row.
        levels: at least 1.
        is_max: maxima instead of sums.
    """
    found = [finest]
    for level in range(levels - 2, -1, -1):
        cells = found[0].reshape(len(finest), 2**level, 2, 2**level, 2, *finest.shape[2:])
        cells = cells.amax(dim=(2, 4)) if is_max else cells.sum(dim=(2, 4))
        found.insert(0, cells.flatten(1, 2))
    return found
