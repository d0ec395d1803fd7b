"""Kernel support vector machine: boundaries that need not be flat.

C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995. https://doi.org/10.1007/BF00994018
LIBSVM does the solving: C.-C. Chang, C.-J. Lin, ACM TIST 2, 2011. https://www.csie.ntu.edu.tw/~cjlin/libsvm
"""

import math

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.features.normaliser import Normaliser, Rows

from ._kernels import GAMMAS, KERNELS, Kernel, gamma_of, kernel_table
from ._labelled import Labelled, asked, labelled
from ._pairs import MULTICLASS, machines, scores, winners
from .linear_svm import check_cost

LARGEST = 20_000
"""Training rows; their kernel then takes 3 GiB."""

AT_ONCE = 2**24
"""Values of a kernel held at a time when asked."""


class KernelSVM:
    """Maximal margin with the plain hinge and a free bias: min |w|^2 / 2 + C sum max(0, 1 - s (w.phi(x) + b)).

    Learned: support_ (S, D), the training rows that count, normalised (of a precomputed kernel: their places (S,));
    forces_ (S, P) and offsets_ (P,), float64, of P machines; gamma_; classes_ (K,), int64; normaliser_.

    Args:
        cost: C, positive; the inverse of the regularisation.
        kernel: linear, rbf, polynomial, sigmoid, or precomputed (features are then kernel values with the rows fitted).
        gamma: of rbf, polynomial and sigmoid: positive; scale is 1 / (D Var X) of the training rows, auto 1 / D.
        degree: of polynomial, at least 1.
        offset: of polynomial and sigmoid.
        multiclass: one_vs_one (a machine for each pair of classes, which vote) or one_vs_rest.
        normalise: none, l2, standard or minmax; a precomputed kernel is taken as it is.
    """

    def __init__(
        self,
        *,
        cost: float = 1.0,
        kernel: str = "rbf",
        gamma: float | str = "scale",
        degree: int = 3,
        offset: float = 0.0,
        multiclass: str = "one_vs_one",
        normalise: str = "l2",
    ) -> None:
        check_cost(cost)
        check_choice("kernel", kernel, KERNELS)
        check_gamma(gamma)
        check_count("degree", degree, 1)
        if not math.isfinite(offset):
            raise ValueError(f"offset must be finite, got {offset}")
        check_choice("multiclass", multiclass, MULTICLASS)
        self.cost = cost
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.offset = offset
        self.multiclass = multiclass
        self.normalise = normalise

    def fit(self, features: Rows, targets: Tensor) -> "KernelSVM":
        """Learn from training rows.

        Args:
            features: (N, D), float, finite; with a precomputed kernel (N, N), its values among the rows.
            targets: (N,), whole numbers, at least two different ones.

        Raises:
            ValueError: features or targets are not so, or rows are more than a kernel is kept of.
        """
        known = labelled(features, targets)
        is_given = self.kernel == "precomputed"
        check_rows(known, is_square=is_given)
        self.normaliser_ = Normaliser("none" if is_given else self.normalise).fit(known.rows)
        rows = self.normaliser_.transform(known.rows)
        self.classes_ = known.classes
        self.gamma_ = 1.0 if is_given else gamma_of(self.gamma, rows)
        table = rows.double() if is_given else kernel_table(self._kernel(), rows, rows)
        found = machines(table, known.numbers, len(self.classes_), cost=self.cost, multiclass=self.multiclass)
        counts = (found.forces != 0).any(dim=1).nonzero()[:, 0]
        self.support_ = counts if is_given else rows[counts.to(rows.device)]
        self.forces_, self.offsets_ = found.forces[counts], found.offsets
        return self

    def scores(self, features: Rows) -> Tensor:
        """Scores (N, K), float32; higher = rather that class.

        One against the rest: each machine's decision. One against one: the votes, plus less than 1/2 for how clear.

        Args:
            features: (N, D), float, finite; with a precomputed kernel its values with the rows fitted on.

        Raises:
            ValueError: not fitted yet, or features are no finite matrix of the dimension fitted on.
        """
        return scores(self._decisions(features), len(self.classes_), self.multiclass).float()

    def predict(self, features: Rows) -> Tensor:
        """The label, (N,), int64: of the highest score, or of most votes (the lower label where votes are equal)."""
        numbers = winners(self._decisions(features), len(self.classes_), self.multiclass)
        return self.classes_.to(numbers.device)[numbers]

    def _kernel(self) -> Kernel:
        return Kernel(self.kernel, self.gamma_, self.degree, self.offset)

    def _decisions(self, features: Rows) -> Tensor:
        """(N, P), float64."""
        rows = asked(self, features)
        forces, offsets = self.forces_.to(rows.device), self.offsets_.to(rows.device)
        support = self.support_.to(rows.device)
        if self.kernel == "precomputed":
            return rows[:, support].double() @ forces + offsets
        parts = torch.split(rows, max(1, AT_ONCE // max(1, len(support))))
        return torch.cat([kernel_table(self._kernel(), part, support) @ forces + offsets for part in parts])


def check_gamma(gamma: float | str) -> None:
    """Refuse a gamma that is neither positive nor one of the words."""
    if isinstance(gamma, str):
        check_choice("gamma", gamma, GAMMAS)
    elif not 0 < gamma < math.inf:
        raise ValueError(f"gamma must be positive, or one of {', '.join(GAMMAS)}, got {gamma}")


def check_rows(known: Labelled, *, is_square: bool) -> None:
    """Refuse a precomputed kernel that is not square, and more rows than a kernel is kept of."""
    count, width = known.rows.shape
    if is_square and count != width:
        raise ValueError(f"features must be a square kernel (N, N) where it is precomputed, got {count} x {width}")
    if count > LARGEST:
        raise ValueError(
            f"features must have at most {LARGEST:,} rows for a kernel machine, got {count:,}: take LinearSVM, which "
            "has no such bound, or fewer rows"
        )
