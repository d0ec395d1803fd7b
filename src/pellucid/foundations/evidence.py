"""Evidence: the prior and the noise that make the targets seen most likely, all weights averaged over.

D. MacKay, "Bayesian Interpolation", Neural Computation 4, 1992. https://doi.org/10.1162/neco.1992.4.3.415
C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 3.5.2.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

from .bases import Basis, design
from .bayesian_linear import BayesianLinearRegression


@dataclass(frozen=True)
class Evident:
    """The precisions found."""

    alpha: float  # of the weights
    beta: float  # of the noise
    effective: float  # gamma, in [0, M]: weights that the points settle, not the prior
    log_evidences: Tensor  # (T,), nats, at the start and after each round
    is_settled: bool  # whether the last round changed the precisions by less than the tolerance


def most_evident(
    basis: Basis,
    inputs: Tensor,
    targets: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    rounds: int = 500,
    tolerance: float = 1e-8,
) -> Evident:
    """Alpha and beta by the fixed point of the evidence, from a first guess.

    Formula:
        gamma = sum over lambda_i / (alpha + lambda_i), lambda = eigenvalues of beta Phi^T Phi
        alpha = gamma / |mu|^2, 1 / beta = |y - Phi mu|^2 / (N - gamma)

    Args:
        basis: see `bases`.
        inputs: (N,) or (N, d), float.
        targets: (N,), float, that vary.
        alpha: first guess, above 0.
        beta: first guess, above 0.
        rounds: at most, at least 1.
        tolerance: relative change of both precisions at which it rests, at least 0.

    Raises:
        ValueError: an argument is out of the range above, or a precision grows without bound.
    """
    check_count("rounds", rounds, 1)
    check_range("tolerance", tolerance, 0)
    features = design(basis, inputs)
    if not isinstance(targets, Tensor) or targets.shape != (len(features),) or not len(features):
        raise ValueError(f"targets must have shape ({len(features)},), at least one, got {tuple(targets.shape)}")
    eigenvalues = torch.linalg.eigvalsh(features.T @ features).clamp_min(0)
    said, is_settled = list[float](), False
    effective = 0.0
    for _ in range(rounds + 1):
        _check(alpha, beta)
        learned = BayesianLinearRegression(_given, alpha=alpha, beta=beta).fit(features, targets)
        said.append(learned.log_evidence_ or 0.0)
        effective = float((beta * eigenvalues / (alpha + beta * eigenvalues)).sum())
        if is_settled or len(said) > rounds:
            break
        before = alpha, beta
        residual = float((targets.double() - features @ learned.mean_).square().sum())
        size = float(learned.mean_.square().sum())
        alpha = effective / size if size else math.inf
        beta = (len(features) - effective) / residual if residual else math.inf
        is_settled = all(abs(new / old - 1) < tolerance for new, old in zip((alpha, beta), before, strict=True))
    return Evident(alpha, beta, effective, torch.tensor(said, dtype=torch.float64), is_settled)


def _given(features: Tensor) -> Tensor:
    """A basis for what are features already."""
    return features


def _check(alpha: float, beta: float) -> None:
    for name, value, told in (("alpha", alpha, "the weights are all zero"), ("beta", beta, "no noise is left")):
        if not 0 < value < 1e15:
            raise ValueError(f"{name} must stay above 0 and finite, got {value:.3g}: {told}, give it a value instead")
