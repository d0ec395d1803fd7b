"""What a layer puts out as one row an image: flattened, or pooled over its positions."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import near

from .grids import Grid

POOLS = ("auto", "flat", "gap", "max", "class")
"""And grid1, grid2, ...: the average of each cell of so many rows and columns."""

POSTS = ("none", "relu")

MOST_CELLS = 64
"""Rows and columns of a grid, at most."""


def check_pool(pool: str) -> None:
    """Refuse a word that is no way of pooling, naming the nearest."""
    if pool in POOLS:
        return
    side = _side(pool)
    if side is None:
        raise ValueError(f"pool must be one of {', '.join(POOLS)}, grid2 (or another side), got {pool!r}{_near(pool)}")
    if not 1 <= side <= MOST_CELLS:
        raise ValueError(f"pool must be a grid of 1 to {MOST_CELLS} rows and columns, got {pool!r}")


def pooled(
    output: Tensor, pool: str, post: str, grid: Grid | None, name: str, *, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A layer's output (N, ...) as rows (N, D); they may lie in its memory.

    Args:
        output: vectors (N, D), maps (N, D, h, w) or (N, h, w, D), tokens (N, T, D), or anything to be flattened.
        pool: see POOLS.
        post: see POSTS.
        grid: where its positions lie; None where that is not known.
        name: of the layer, for an error.
        dtype: of the rows; the output is brought to it before anything is added up.

    Raises:
        ValueError: it has no positions to be pooled in that way, or no row an image.
    """
    if output.ndim < 2 or not output.is_floating_point():
        raise ValueError(f"layer {name!r} must give a row of floats an image, got {tuple(output.shape)} {output.dtype}")
    values = output.to(dtype).relu() if post == "relu" else output.to(dtype)
    if pool == "flat" or values.ndim == 2:
        return values.flatten(1)
    if values.ndim not in {3, 4}:
        raise ValueError(f"layer {name!r} gives {tuple(output.shape)}, which has no positions to pool: take pool=flat")
    if pool == "class" or (pool == "auto" and grid is not None and grid.form == "tokens" and grid.prefix):
        return _class_token(values, grid, name)
    return _over_positions(values, pool, grid, name)


def _class_token(values: Tensor, grid: Grid | None, name: str) -> Tensor:
    """(N, D): the first of the tokens before the grid's."""
    if values.ndim != 3 or grid is None or not grid.prefix:
        raise ValueError(
            f"layer {name!r} gives {tuple(values.shape)}, which holds no class token: take pool=gap, max or flat"
        )
    return values[:, 0]


def _over_positions(values: Tensor, pool: str, grid: Grid | None, name: str) -> Tensor:
    """(N, D), or (N, D * side * side) of a grid: of maps, or of tokens in their places."""
    if grid is not None:
        maps = grid.maps(values)  # (N, D, h, w)
    elif values.ndim == 4:
        maps = values
    else:
        maps = values.movedim(-1, 1)[..., None]  # (N, D, T, 1)
    side = _side(pool)
    if side is not None:
        if grid is None and values.ndim == 3:
            raise ValueError(f"layer {name!r} gives {tuple(values.shape)}, tokens that make no grid: take pool=gap")
        return F.adaptive_avg_pool2d(maps, side).flatten(1)
    return maps.amax(dim=(2, 3)) if pool == "max" else maps.mean(dim=(2, 3))


def _side(pool: str) -> int | None:
    """Rows and columns that a word such as grid2 means; None for another word."""
    found = re.fullmatch(r"grid(\d{1,4})", pool)
    return int(found[1]) if found else None


def _near(pool: str) -> str:
    return near(pool, [*POOLS, "grid2"])
