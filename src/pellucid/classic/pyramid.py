"""Pooling: what the patches of an image say together, of all of it and of its parts.

S. Lazebnik, C. Schmid, J. Ponce, "Beyond Bags of Features: Spatial Pyramid Matching for Recognizing Natural Scene
Categories", CVPR 2006, equation 3. https://doi.org/10.1109/CVPR.2006.68
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .encode import Codes

POOLS = ("sum", "mean", "max")

NORMS = ("l2", "l1", "root", "none")
"""Rows over their Euclidean norm; over the sum of their sizes; the roots of these; as they are."""


@torch.no_grad()
def pyramid(
    codes: Codes,
    size: tuple[int, int],
    *,
    levels: int = 3,
    pool: str = "sum",
    norm: str = "l2",
    weighted: bool = True,
    null: bool = True,
) -> Tensor:
    """Pool what the patches count for words: over the whole image, its quarters, their quarters; with 1 level a bag.

    A patch belongs to the part its middle lies in. With weights, differences count the more the finer the level they
    are found on: 1/2^(L-1) for the whole and for its quarters, twice as much for each level below; the finest is 1/2.

    Args:
        codes: of P patches, from `encode`.
        size: rows and columns of the patches, which are P together; as the grid of `dense_sift` has them.
        levels: L: the whole, 2 x 2 parts, 4 x 4 parts, ...; at least 1.
        pool: sum, mean (over the part's patches) or max.
        norm: of a whole row: l2, l1, root (of l1's sizes, signs kept: its norm is 1) or none; zeros stay zeros.
        weighted: whether levels are weighted.
        null: whether the null word is kept.

    Returns:
        (N, parts * words), float32: level by level, part by part (row by row), word by word, the null word last.
        Hard codes with sum, levels 1 and l1 are the words' frequencies.

    Raises:
        ValueError: rows and columns are not P patches, are fewer than the finest parts, or an option is none.
    """
    check_choice("pool", pool, POOLS)
    check_choice("norm", norm, NORMS)
    check_count("levels", levels, 1)
    rows, columns = size
    count, patches = codes.words.shape[:2]
    if rows * columns != patches:
        raise ValueError(f"size must be rows and columns of the {patches} patches, got {rows} x {columns}")
    if min(rows, columns) < 2 ** (levels - 1):
        raise ValueError(f"levels must leave each part a patch, got {levels} for {rows} x {columns} patches")
    found = []
    for level in range(levels):
        part = _parts(rows, columns, 2**level).to(codes.words.device)  # (P,)
        pooled = _pooled(codes, part, 4**level, pool)  # (N, parts, words)
        pooled = pooled if null else pooled[..., :-1]
        weight = 0.5 ** (levels - max(level, 1)) if weighted and levels > 1 else 1.0
        found.append(pooled.reshape(count, -1) * weight)
    return normed(torch.cat(found, dim=1), norm)


def normed(rows: Tensor, norm: str) -> Tensor:
    """Rows (N, D) on one scale; see `NORMS`."""
    if norm == "none":
        return rows
    if norm == "l2":
        return F.normalize(rows, dim=1)
    even = F.normalize(rows, p=1, dim=1)
    return even.sign() * even.abs().sqrt() if norm == "root" else even


@cache
def _parts(rows: int, columns: int, sides: int) -> Tensor:
    """The part each patch lies in, (P,), int64, of sides x sides parts."""
    down, across = (((torch.arange(long) * 2 + 1) * sides) // (2 * long) for long in (rows, columns))
    return (down[:, None] * sides + across).flatten()


def _pooled(codes: Codes, part: Tensor, parts: int, pool: str) -> Tensor:
    """(N, parts, words)."""
    count, patches, _ = codes.words.shape
    place = (part[:, None] * codes.count + codes.words).view(count, -1)
    whole = codes.weights.new_zeros(count, parts * codes.count)
    values = codes.weights.reshape(count, -1)
    if pool == "max":
        return whole.scatter_reduce_(1, place, values, "amax", include_self=True).view(count, parts, -1)
    whole = whole.scatter_add_(1, place, values).view(count, parts, -1)
    if pool == "mean":
        whole = whole / torch.bincount(part, minlength=parts)[:, None]
    assert patches == len(part)
    return whole
