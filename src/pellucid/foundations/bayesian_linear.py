"""Bayesian linear regression: not one line but all that the points allow, each as likely as they make it.

C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, sections 3.3 and 3.5.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
"""

import math
import warnings
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pellucid.checks import check_count

from .bases import Basis, Linear, design

WORST = 1e14
"""Condition number of A beyond which its factors keep few digits."""


@dataclass(frozen=True)
class Prediction:
    """What is to be expected at some inputs; variances, in the unit of the targets squared."""

    mean: Tensor  # (N,) or (N, K)
    epistemic: Tensor  # (N,): of the curve itself; shrinks with more points
    aleatoric: Tensor  # (N,): of the noise, 1 / beta; does not shrink

    @property
    def total(self) -> Tensor:
        """(N,), variance of a new target."""
        return self.epistemic + self.aleatoric


class BayesianLinearRegression:
    """Weights w ~ N(0, I / alpha), targets y ~ N(phi(x)·w, 1 / beta): the posterior of w is normal too.

    Formula:
        A = alpha I + beta Phi^T Phi, Sigma = A^-1, mu = beta Sigma Phi^T y
        mean(x) = mu·phi(x), variance(x) = 1 / beta + phi(x)^T Sigma phi(x)

    All is solved by the Cholesky factor of A in float64; K targets a point share Sigma.

    Args:
        basis: features of the inputs; None: a line, (1, x).
        alpha: prior precision of every weight, at least 0; 0 needs features of full rank.
        beta: precision of the noise, above 0; give it or sigma.
        sigma: standard deviation of the noise, above 0: beta = 1 / sigma^2.

    After `fit` and each `update`: mean_ mu (M,) or (M, K); covariance_ Sigma (M, M); log_evidence_, nats, the log
    density of all targets seen, summed over the K, or None with alpha 0, where the prior has no density; count_ N.
    """

    def __init__(
        self,
        basis: Basis | None = None,
        *,
        alpha: float = 2.0,
        beta: float | None = None,
        sigma: float | None = None,
    ) -> None:
        self.basis, self.alpha, self.beta, self.sigma = Linear() if basis is None else basis, alpha, beta, sigma

    def fit(self, inputs: Tensor, targets: Tensor) -> Self:
        """Learn from inputs (N,) or (N, d), float, and targets (N,) or (N, K); N may be 0: then the prior stands.

        Raises:
            ValueError: an option out of its range, lengths that differ, or a posterior that is no density.
        """
        _check(self.alpha, self.beta, self.sigma)
        self.precision_ = self.beta if self.beta is not None else 1 / float(self.sigma or 1) ** 2
        features = design(self.basis, inputs)
        columns = _columns(targets, len(features))
        width = features.shape[1]
        self.is_single_ = targets.ndim == 1
        self.gram_, self.moment_ = features.new_zeros(width, width), features.new_zeros(width, columns.shape[1])
        self.squares_, self.count_ = features.new_zeros(()), 0
        return self._learn(features, columns)

    def update(self, inputs: Tensor, targets: Tensor) -> Self:
        """Learn from more points: the posterior so far is the prior of what comes; the order changes nothing.

        Raises:
            ValueError: lengths differ, or targets of another number a point than those of `fit`.
        """
        if not hasattr(self, "gram_"):
            return self.fit(inputs, targets)
        features = design(self.basis, inputs)
        columns = _columns(targets, len(features))
        if columns.shape[1] != self.moment_.shape[1] or (targets.ndim == 1) != self.is_single_:
            raise ValueError(f"targets must be as those of fit, got {tuple(targets.shape)}")
        return self._learn(features, columns)

    def predict(self, inputs: Tensor) -> Prediction:
        """Mean and variances at inputs (N,) or (N, d)."""
        features = design(self.basis, inputs)
        epistemic = _solved(self.factor_, features).square().sum(dim=0)  # (N,)
        return Prediction(features @ self.mean_, epistemic, torch.full_like(epistemic, 1 / self.precision_))

    def sample_weights(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Weights (count, M), or (count, M, K) of K targets, drawn from the posterior; None takes seed 0."""
        check_count("count", count, 1)
        source = generator or torch.Generator().manual_seed(0)
        noise = torch.randn(count, *self.mean_.shape, generator=source, dtype=torch.float64)
        columns = noise.reshape(count, len(self.mean_), -1)  # (count, M, K)
        spread: Tensor = torch.linalg.solve_triangular(self.factor_.T, columns, upper=True)
        return self.mean_ + spread.reshape(noise.shape)

    def sample_functions(self, inputs: Tensor, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Curves (count, N), or (count, N, K), without noise: each is one draw of the weights at all inputs."""
        return torch.einsum(
            "nm,sm...->sn...", design(self.basis, inputs), self.sample_weights(count, generator=generator)
        )

    def _learn(self, features: Tensor, columns: Tensor) -> Self:
        """Add points (N, M), (N, K) to the sums, and solve."""
        self.gram_ = self.gram_ + features.T @ features
        self.moment_ = self.moment_ + features.T @ columns
        self.squares_ = self.squares_ + columns.square().sum()
        self.count_ += len(features)
        self.factor_ = _factor(self.gram_, self.alpha, self.precision_)  # L of A = L L^T
        mean = self.precision_ * torch.cholesky_solve(self.moment_, self.factor_)  # (M, K)
        self.mean_ = mean[:, 0] if self.is_single_ else mean
        self.covariance_ = torch.cholesky_inverse(self.factor_)
        self.log_evidence_ = self._evidence(mean) if self.alpha > 0 else None
        return self

    def _evidence(self, mean: Tensor) -> float:
        """ln N(Y; 0, I / beta + Phi Phi^T / alpha), of each target, summed."""
        width, targets = mean.shape
        # beta |Y - Phi mu|^2 + alpha |mu|^2, which is beta (|Y|^2 - mu·Phi^T Y) at the solution
        misfit = self.precision_ * (self.squares_ - (mean * self.moment_).sum())
        constant = width * math.log(self.alpha) + self.count_ * math.log(self.precision_ / (2 * math.pi))
        return float(targets * (constant / 2 - self.factor_.diagonal().log().sum()) - misfit / 2)


def _check(alpha: float, beta: float | None, sigma: float | None) -> None:
    if not 0 <= alpha < math.inf:
        raise ValueError(f"alpha must be at least 0 and finite, got {alpha}")
    if (beta is None) == (sigma is None):
        raise ValueError(f"give either beta or sigma (beta = 1 / sigma^2), got beta={beta} and sigma={sigma}")
    for name, value in (("beta", beta), ("sigma", sigma)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")


def _columns(targets: Tensor, count: int) -> Tensor:
    """Targets as columns (N, K), float64."""
    if not isinstance(targets, Tensor) or targets.ndim not in {1, 2} or len(targets) != count:
        given = tuple(targets.shape) if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must have shape ({count},) or ({count}, K), one for each input, got {given}")
    if not bool(targets.isfinite().all()):
        raise ValueError("targets must be finite, got NaN or infinite values")
    return targets.double().reshape(count, 1 if targets.ndim == 1 else targets.shape[1])


def _factor(gram: Tensor, alpha: float, beta: float) -> Tensor:
    """The lower Cholesky factor of A."""
    width = len(gram)
    if alpha == 0:
        rank = int(torch.linalg.matrix_rank(gram, hermitian=True))
        if rank < width:
            raise ValueError(f"posterior is improper: Phi has rank {rank} < {width}; give alpha > 0")
    inverse = alpha * torch.eye(width, dtype=gram.dtype) + beta * gram  # A
    condition = float(torch.linalg.cond(inverse))
    if not condition <= WORST:
        warnings.warn(
            f"A has condition number {condition:.1e}: few digits are left; rescale the inputs to [-1, 1], or take "
            "fewer features or a larger alpha",
            stacklevel=4,
        )
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(inverse)
    if int(failed):
        raise ValueError(
            f"A is not positive definite to float64 (condition number {condition:.1e}): rescale the inputs"
        )
    return factor


def _solved(factor: Tensor, features: Tensor) -> Tensor:
    """L^-1 phi for each row of features, (M, N): its squared length is phi^T Sigma phi."""
    solved: Tensor = torch.linalg.solve_triangular(factor, features.T, upper=False)
    return solved
