"""Pooling: what the patches of an image say together, of all of it and of its parts.

S. Lazebnik, C. Schmid, J. Ponce, "Beyond Bags of Features: Spatial Pyramid Matching for Recognizing Natural Scene
Categories", CVPR 2006, equation 3. https://doi.org/10.1109/CVPR.2006.68
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice

from ._parts import Size, grids, parts, upwards
from .encode import Codes

POOLS = ("sum", "mean", "max")

NORMS = ("l2", "l1", "root", "none")
"""Rows over their Euclidean norm; over the sum of their sizes; the roots of these; as they are."""


@torch.no_grad()
def pyramid(
    codes: Codes,
    size: Size,
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
        size: rows and columns of the patches, P together, as of `dense_sift`; or several such, one grid after another.
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
    known = grids(size, codes.words.shape[1], levels)
    part = parts(known, 2 ** (levels - 1)).to(codes.words.device)  # (P,)
    finest = _pooled(codes, part, 4 ** (levels - 1), is_max=pool == "max")  # (N, parts, words)
    finest = finest if null else finest[..., :-1]
    found = upwards(finest, levels, is_max=pool == "max")
    if pool == "mean":
        patches = upwards(torch.bincount(part, minlength=finest.shape[1])[None, :, None], levels)
        found = [pooled / here for pooled, here in zip(found, patches, strict=True)]
    if weighted and levels > 1:
        found = [pooled * 0.5 ** (levels - max(level, 1)) for level, pooled in enumerate(found)]
    return normed(torch.cat([pooled.flatten(1) for pooled in found], dim=1), norm)


def normed(rows: Tensor, norm: str) -> Tensor:
    """Rows (N, D) on one scale; see `NORMS`."""
    if norm == "none":
        return rows
    if norm == "l2":
        return F.normalize(rows, dim=1)
    even = F.normalize(rows, p=1, dim=1)
    return even.sign() * even.abs().sqrt() if norm == "root" else even


def _pooled(codes: Codes, part: Tensor, boxes: int, *, is_max: bool) -> Tensor:
    """Sums, or maxima, over the patches of each part, (N, parts, words); part (P,) is each patch's own."""
    count = len(codes.words)
    if codes.in_order and is_max:
        return torch.stack([codes.weights[:, part == number].amax(dim=1) for number in range(boxes)], dim=1)
    if codes.in_order:
        return torch.nn.functional.one_hot(part, boxes).T.to(codes.weights) @ codes.weights
    place = (part[:, None] * codes.count + codes.words).view(count, -1)
    whole = codes.weights.new_zeros(count, boxes * codes.count)
    values = codes.weights.reshape(count, -1)
    if is_max:
        return whole.scatter_reduce_(1, place, values, "amax", include_self=True).view(count, boxes, -1)
    return whole.scatter_add_(1, place, values).view(count, boxes, -1)
