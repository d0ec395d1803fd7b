"""Kernels between bags of words: how alike two histograms are, in the ways a support vector machine can use.

linear        <x, y>
rbf           exp(-gamma |x - y|^2)
polynomial    (gamma <x, y> + offset)^degree
sigmoid       tanh(gamma <x, y> + offset), which is no true kernel: what is fitted with it may be anything
intersection  sum of min(x, y)
chi2          exp(-gamma sum (x - y)^2 / (x + y))

S. Lazebnik, C. Schmid, J. Ponce, "Beyond Bags of Features", CVPR 2006, section 3; J. Zhang et al., "Local Features
and Kernels for Classification of Texture and Object Categories", International Journal of Computer Vision 73(2), 2007,
section 2.3.2. https://doi.org/10.1109/CVPR.2006.68, https://doi.org/10.1007/s11263-006-9794-4
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, near

KINDS = ("linear", "rbf", "polynomial", "sigmoid", "intersection", "chi2")

GAMMAS = ("scale", "auto")

HISTOGRAMS = frozenset({"intersection", "chi2"})
"""Kernels that ask for rows without negative numbers."""

BLOCK = 2**18
"""Numbers that are worked on at a time: what a processor's cache holds."""

TYPICAL = 512
"""Training rows, at most, whose distances tell the scale of chi2."""


class Kernel:
    """A kernel against training rows.

    Learned: train_ (M, D), the training rows; gamma_.

    Args:
        kind: linear, rbf, polynomial, sigmoid, intersection or chi2.
        gamma: above 0, or scale (1 over columns times the variance of all numbers; chi2: 1 over the mean distance of
            the training rows) or auto (1 over columns).
        degree: of polynomial, at least 1.
        offset: of polynomial and sigmoid.
    """

    def __init__(
        self, kind: str = "intersection", *, gamma: float | str = "scale", degree: int = 3, offset: float = 0.0
    ) -> None:
        check_choice("kind", kind, KINDS)
        check_count("degree", degree, 1)
        if isinstance(gamma, str) and gamma not in GAMMAS:
            raise ValueError(
                f"gamma must be above 0, or one of {', '.join(GAMMAS)}, got {gamma!r}{near(gamma, GAMMAS)}"
            )
        if not isinstance(gamma, str) and not 0 < gamma < float("inf"):
            raise ValueError(f"gamma must be above 0 and finite, got {gamma}")
        self.kind, self.gamma, self.degree, self.offset = kind, gamma, degree, offset

    def fit(self, rows: Tensor) -> "Kernel":
        """Keep the training rows and learn gamma.

        Args:
            rows: (M, D), float, of training images alone; at least 0 for intersection and chi2.
        """
        self.train_ = self._asked(rows)
        self.gamma_ = self._gamma(self.train_)
        return self

    @torch.no_grad()
    def __call__(self, rows: Tensor) -> Tensor:
        """Values (N, M), float32, of rows (N, D) against the training rows.

        Raises:
            ValueError: not fitted, another width, or negative numbers where they have no meaning.
        """
        if not hasattr(self, "train_"):
            raise ValueError("the kernel must be fitted on training rows first: call fit(rows)")
        x, y = self._asked(rows), self.train_
        if x.shape[1] != y.shape[1]:
            raise ValueError(f"rows must have the {y.shape[1]} columns of the training rows, got {x.shape[1]}")
        if self.kind == "intersection":
            return intersection(x, y)
        if self.kind == "chi2":
            return (-self.gamma_ * chi2_distance(x, y)).exp()
        products = x @ y.T
        if self.kind == "linear":
            return products
        if self.kind == "rbf":
            lengths = (side.square().sum(dim=1) for side in (x, y))
            far = next(lengths)[:, None] + next(lengths) - 2 * products
            return (-self.gamma_ * far.clamp(min=0)).exp()
        inner = self.gamma_ * products + self.offset
        return inner**self.degree if self.kind == "polynomial" else inner.tanh()

    def _asked(self, rows: Tensor) -> Tensor:
        if not isinstance(rows, Tensor) or rows.ndim != 2 or not rows.is_floating_point() or not rows.numel():
            given = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ValueError(f"rows must be a float matrix (N, D), got {given}")
        found = rows.detach().float()
        if not bool(torch.isfinite(found.sum())):
            raise ValueError("rows must be finite, got NaN or infinity")
        if self.kind in HISTOGRAMS and float(found.min()) < 0:
            raise ValueError(f"rows must be at least 0 for {self.kind}, got {float(found.min()):.3g}: counts of words")
        return found

    def _gamma(self, rows: Tensor) -> float:
        if not isinstance(self.gamma, str):
            return self.gamma
        if self.gamma == "auto":
            return 1 / rows.shape[1]
        if self.kind == "chi2":
            some = rows[:: -(-len(rows) // TYPICAL)]
            mean = float(chi2_distance(some, some).double().mean())
            return 1 / mean if mean > 0 else 1.0
        variance = float(rows.double().var(correction=0))
        return 1 / (rows.shape[1] * variance) if variance > 0 else 1.0


def intersection(x: Tensor, y: Tensor) -> Tensor:
    """Sums of the smaller of two numbers, column by column: (N, M), of rows (N, D) and (M, D), at least 0."""
    return _over_shared(x, y, lambda own, other: torch.minimum(other, own, out=other))


def chi2_distance(x: Tensor, y: Tensor) -> Tensor:
    """Sums of (a - b)^2 / (a + b), 0 where both are 0: (N, M), of rows (N, D) and (M, D), at least 0."""

    def share(own: Tensor, other: Tensor) -> Tensor:
        return other.add(own).reciprocal_().mul_(other).mul_(own)  # a b / (a + b)

    both = x.sum(dim=1)[:, None] + y.sum(dim=1)
    return both.sub_(_over_shared(x, y, share), alpha=4).clamp_(min=0)  # (a - b)^2 = (a + b)^2 - 4 a b


def _over_shared(x: Tensor, y: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Sums (N, M) over columns of what is 0 where either row is 0: only columns where x is not 0 are looked at.

    Args:
        x: (N, D), at least 0.
        y: (M, D), at least 0.
        of: (x's numbers (d, 1), above 0, y's (d, m), which may be overwritten) -> (d, m).
    """
    found = x.new_empty(len(x), len(y))
    active = [row.nonzero()[:, 0] for row in x]
    size = max(16, BLOCK // max(1, *map(len, active)))
    for start in range(0, len(y), size):
        columns = y[start : start + size].T.contiguous()  # (D, m)
        for number, places in enumerate(active):
            part = of(x[number, places, None], columns[places])
            torch.sum(part, dim=0, out=found[number, start : start + columns.shape[1]])
    return found
