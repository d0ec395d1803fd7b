"""Logistic regression: a linear probe whose scores are probabilities.

D. Cox, "The Regression Analysis of Binary Sequences", Journal of the Royal Statistical Society B 20, 1958; of several
classes together, as a softmax. https://doi.org/10.1111/j.2517-6161.1958.tb00292.x
Solved by scikit-learn, by Newton steps with conjugate gradients.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.features.normaliser import Normaliser, Rows

from ._labelled import asked, labelled
from .linear_svm import check_cost

TOLERANCE, STEPS = 1e-6, 1000


class LogisticRegression:
    """Softmax of a linear map: min |W|^2 / 2 + C sum -log p(target); the biases are free.

    Learned: weight_ (K, D) and bias_ (K,), float32; classes_ (K,), int64; normaliser_.

    Args:
        cost: C, positive; the inverse of the regularisation.
        normalise: none, l2, standard or minmax; learned from the rows fitted on.
    """

    def __init__(self, *, cost: float = 1.0, normalise: str = "l2") -> None:
        check_cost(cost)
        self.cost = cost
        self.normalise = normalise

    def fit(self, features: Rows, targets: Tensor) -> "LogisticRegression":
        """Learn from training rows.

        Args:
            features: (N, D), float, finite.
            targets: (N,), whole numbers, at least two different ones.

        Raises:
            ValueError: features or targets are not so.
        """
        known = labelled(features, targets)
        self.normaliser_ = Normaliser(self.normalise).fit(known.rows)
        rows = self.normaliser_.transform(known.rows).double().cpu().numpy()
        self.classes_ = known.classes
        machine = regression(self.cost).fit(rows, known.numbers.cpu().numpy())
        weight, bias = (torch.from_numpy(np.array(found)).float() for found in (machine.coef_, machine.intercept_))
        if len(self.classes_) == 2:  # a single difference of logits
            weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
        self.weight_, self.bias_ = weight, bias
        return self

    def scores(self, features: Rows) -> Tensor:
        """Logits (N, K), float32; their softmax are the probabilities.

        Raises:
            ValueError: not fitted yet, or features are no finite matrix of the dimension fitted on.
        """
        rows = asked(self, features)
        return rows @ self.weight_.T.to(rows.device) + self.bias_.to(rows.device)

    def predict(self, features: Rows) -> Tensor:
        """The most probable label, (N,), int64."""
        numbers = self.scores(features).argmax(dim=1)
        return self.classes_.to(numbers.device)[numbers]


def regression(cost: float, *, goes_on: bool = False) -> Any:
    """scikit-learn's, unfitted; one that goes on begins each fit where the last one ended."""
    from sklearn.linear_model import LogisticRegression as Regression

    return Regression(C=cost, solver="newton-cg", tol=TOLERANCE, max_iter=STEPS, warm_start=goes_on)
