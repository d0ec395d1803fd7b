"""Linear support vector machine: the probe that costs least, and often the best.

C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995. https://doi.org/10.1007/BF00994018
Each class against the rest with the squared hinge, as in R.-E. Fan et al., "LIBLINEAR: A Library for Large Linear
Classification", JMLR 9, 2008, appendix A. https://jmlr.org/papers/v9/fan08a.html
"""

import torch
from torch import Tensor

from pellucid.features.normaliser import Normaliser, Rows

from ._labelled import asked, labelled, one_against_rest
from ._squared_hinge import AT_ONCE, basis, solve


class LinearSVM:
    """One class against the rest: min |w|^2 / 2 + C sum max(0, 1 - s (w.x + b))^2, s = 1 for the class, else -1.

    C is the inverse of the regularisation: a larger C fits the training rows more closely. The bias is the weight of a
    constant column and is penalised with the others (the smaller, the larger the constant), as LIBLINEAR has it. For
    one class against one, with the plain hinge and a free bias, take KernelSVM(kernel="linear").

    Learned: weight_ (K, D) and bias_ (K,), float32; classes_ (K,), int64; gap_, largest relative duality gap;
    normaliser_.

    Args:
        cost: C, positive.
        normalise: none, l2, standard or minmax; learned from the rows fitted on.
        intercept_scaling: the constant, at least 0; 0 leaves the bias out.
    """

    def __init__(self, *, cost: float = 1.0, normalise: str = "l2", intercept_scaling: float = 1.0) -> None:
        check_cost(cost)
        if not 0 <= intercept_scaling < float("inf"):
            raise ValueError(f"intercept_scaling must be at least 0 and finite, got {intercept_scaling}")
        self.cost = cost
        self.normalise = normalise
        self.intercept_scaling = intercept_scaling

    def fit(self, features: Rows, targets: Tensor) -> "LinearSVM":
        """Learn from training rows.

        Args:
            features: (N, D), float, finite.
            targets: (N,), whole numbers, at least two different ones.

        Raises:
            ValueError: features or targets are not so.
        """
        known = labelled(features, targets)
        self.classes_ = known.classes
        self.normaliser_ = Normaliser(self.normalise).fit(known.rows)
        rows = self.normaliser_.transform(known.rows)
        signs = one_against_rest(known.numbers, len(known.classes))
        solved = solve(basis(rows, constant=self.intercept_scaling), signs, self.cost)
        self.gap_ = float(solved.gap.max())
        at_once = max(1, AT_ONCE // len(rows))
        parts = [some.double().T @ solved.forces for some in torch.split(rows, at_once, dim=1)]  # (D, K)
        self.weight_ = torch.cat(parts).T.float().contiguous()
        self.bias_ = (self.intercept_scaling**2 * solved.forces.sum(dim=0)).float()
        return self

    def scores(self, features: Rows) -> Tensor:
        """Scores (N, K), float32: w.x + b of each class; higher = rather that class, 1 and -1 are the margin's edges.

        Raises:
            ValueError: not fitted yet, or features are no finite matrix of the dimension fitted on.
        """
        rows = asked(self, features)
        return rows @ self.weight_.T.to(rows.device) + self.bias_.to(rows.device)

    def predict(self, features: Rows) -> Tensor:
        """The label of the highest score, (N,), int64."""
        numbers = self.scores(features).argmax(dim=1)
        return self.classes_.to(numbers.device)[numbers]


def check_cost(cost: float) -> None:
    """Refuse a C that is not positive and finite."""
    if not 0 < cost < float("inf"):
        raise ValueError(f"cost must be positive and finite, got {cost}: it is the inverse of the regularisation")
