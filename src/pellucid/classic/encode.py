"""Encoding: how much each descriptor counts for each visual word.

hard         1 for the nearest word
uncertainty  a Gaussian of the distance, over its sum over all words
plausibility the Gaussian, for the nearest word alone
kernel       the Gaussian, for every word
omp, lasso   the coefficients, without signs, of the sum of few words (of norm 1) that comes close to it
llc          the coefficients, of sum 1, of the nearest words that come closest to it (locality-constrained)

J. van Gemert, C. Veenman, A. Smeulders, J.-M. Geusebroek, "Visual Word Ambiguity", IEEE Transactions on Pattern
Analysis and Machine Intelligence 32(7), 2010, https://doi.org/10.1109/TPAMI.2009.132; J. Wang et al.,
"Locality-constrained Linear Coding for Image Classification", CVPR 2010, https://doi.org/10.1109/CVPR.2010.5540018.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

from ._rows import blocks, in_images, nearest, squared
from ._sparse_codes import lasso, locality, pursuit
from .dictionary import Dictionary

HOWS = ("hard", "uncertainty", "plausibility", "kernel", "omp", "lasso", "llc")

NULLS = ("flat", "nearest")
"""What the null word stands for: descriptors that are zeros alone, or all that lie nearer to it than to any other."""


@dataclass(frozen=True)
class Codes:
    """What P descriptors of each of N images count for words; words not named count 0.

    Fields:
        words: (N, P, k), int64, in [0, K]; K is the null word. Where a word is named again, its weight is 0.
        weights: (N, P, k), float32; at least 0, but for llc.
        count: K + 1, words with the null word.
        dictionary: the hash of the words.
        in_order: whether every patch names all words from 0 to K, so that weights are what `dense` gives.
    """

    words: Tensor
    weights: Tensor
    count: int
    dictionary: str
    in_order: bool = False

    def dense(self) -> Tensor:
        """(N, P, K + 1), float32."""
        if self.in_order:
            return self.weights
        whole = self.weights.new_zeros(*self.words.shape[:2], self.count)
        return whole.scatter_add_(2, self.words, self.weights)


@torch.no_grad()
def encode(
    descriptors: Tensor,
    dictionary: Dictionary,
    *,
    how: str = "hard",
    null: str = "flat",
    sigma: float | None = None,
    atoms: int = 5,
    penalty: float = 0.15,
    neighbours: int = 5,
) -> Codes:
    """Say of every descriptor what it counts for every visual word; zeros count 1 for the null word.

    Args:
        descriptors: (N, P, D), float, as from `dense_sift`.
        dictionary: fitted.
        how: hard, uncertainty, plausibility, kernel, omp, lasso or llc.
        null: flat (the null word stands for zeros alone) or nearest (for all that lie nearest to it).
        sigma: of the Gaussian, a distance, above 0; None is the median one between a descriptor and its word.
        atoms: words a descriptor is made of by omp, 1 to K.
        penalty: of lasso, for each coefficient's size, above 0: how many stay 0.
        neighbours: words a descriptor is made of by llc, 1 to K.

    Returns:
        Codes, on the device of the descriptors.

    Raises:
        ValueError: the dictionary is not fitted or of another width, or an option is out of its range.
    """
    check_choice("how", how, HOWS)
    check_choice("null", null, NULLS)
    words = dictionary.asked()
    whole = in_images(descriptors, words.shape[1]).float()
    real = len(words) - 1
    check_count("atoms", atoms, 1, real if how == "omp" else None)
    check_count("neighbours", neighbours, 1, real if how == "llc" else None)
    wide = dictionary.spread_ if sigma is None else sigma
    for name, value in (("sigma", wide), ("penalty", penalty)):
        if not 0 < value < float("inf") and not (name == "sigma" and sigma is None):
            raise ValueError(f"{name} must be above 0 and finite, got {value}")
    rows = whole.flatten(0, 1)
    words = words.to(rows)
    if how in {"hard", "plausibility"}:
        names, weights = _nearest(rows, words, wide, null, is_hard=how == "hard")
    elif how in {"uncertainty", "kernel"}:
        names, weights = _gaussian(rows, words, wide, null, is_shared=how == "uncertainty")
    else:
        units = torch.nn.functional.normalize(words[:-1], dim=1)
        makers = {
            "omp": partial(pursuit, units=units, atoms=atoms),
            "lasso": partial(lasso, units=units, penalty=penalty),
            "llc": partial(locality, words=words[:-1], neighbours=neighbours),
        }
        names, weights = _sparse(rows, makers[how], real)
        weights = weights if how == "llc" else weights.abs()
    flat = (~rows.any(dim=1)).nonzero()[:, 0]
    in_order = how in {"uncertainty", "kernel"}
    if in_order:
        weights[flat] = 0
        weights[flat, real] = 1
    else:
        names[flat], weights[flat] = real, 0  # a name may stand several times here, the others counting nothing
        weights[flat, 0] = 1
    shape = (*descriptors.shape[:2], -1)
    return Codes(names.view(shape), weights.view(shape), real + 1, dictionary.hash_, in_order)


def _gauss(squares: Tensor, sigma: float) -> Tensor:
    return (squares / (-2 * max(sigma, 1e-12) ** 2)).exp()


def _nearest(rows: Tensor, words: Tensor, sigma: float, null: str, *, is_hard: bool) -> tuple[Tensor, Tensor]:
    """Names and weights (M, 1): of the nearest word."""
    names, squares = nearest(rows, words if null == "nearest" else words[:-1])
    weights = torch.ones_like(squares) if is_hard else _gauss(squares, sigma)
    return names[:, None], weights[:, None]


def _gaussian(rows: Tensor, words: Tensor, sigma: float, null: str, *, is_shared: bool) -> tuple[Tensor, Tensor]:
    """Names (one row, repeated) and weights (M, K + 1): of all words."""
    weights = rows.new_empty(len(rows), len(words))
    for start, some in blocks(rows, len(words)):
        part = squared(some, words).div_(-2 * max(sigma, 1e-12) ** 2)
        if null == "flat":
            part[:, -1] = -float("inf")
        found = weights[start : start + len(some)]
        torch.softmax(part, dim=1, out=found) if is_shared else torch.exp(part, out=found)
    return torch.arange(len(words), device=rows.device).expand(len(rows), -1), weights


def _sparse(rows: Tensor, make: Callable[[Tensor], tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """Names and weights (M, k), of words but the null one, a block at a time."""
    found = [make(some) for _, some in blocks(rows, 4 * count)]
    names, weights = (torch.cat(parts) for parts in zip(*found, strict=True))
    return names, weights
