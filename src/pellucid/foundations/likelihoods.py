"""Losses as likelihoods: what each loss believes of the noise, with gradient and curvature.

C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, sections 1.2.5, 3.1.1, 4.3 and 7.1.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/

Every loss here is a sum over samples; the mean divides value, gradient and hessian by N, and so the effective lr.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_range


@dataclass(frozen=True)
class Loss:
    """A loss, summed over samples."""

    value: Tensor  # ()
    gradient: Tensor  # as the predictions: the derivative by each
    hessian: Tensor  # as the predictions: the second derivative by each; there are no mixed ones
    log_likelihood: Tensor | None  # (), of the targets under the noise the loss believes in; None: no such noise


def squared_error(predictions: Tensor, targets: Tensor, *, sigma: float = 1.0) -> Loss:
    """Gaussian noise of one known size: far-off targets weigh by their square.

    Formula:
        L = sum (z - t)^2, dL/dz = 2 (z - t), d2L/dz2 = 2
        ln p(t | z) = -L / (2 sigma^2) - N ln(sigma sqrt(2 pi))

    Args:
        predictions: float, any shape.
        targets: float, the same shape.
        sigma: standard deviation of the noise, above 0; only the likelihood asks for it.
    """
    _check_alike(predictions, targets)
    _check_positive("sigma", sigma)
    off = predictions - targets
    value = (off**2).sum()
    likelihood = -value / (2 * sigma**2) - off.numel() * math.log(sigma * math.sqrt(2 * math.pi))
    return Loss(value, 2 * off, torch.full_like(off, 2.0), likelihood)


def absolute_error(predictions: Tensor, targets: Tensor, *, scale: float = 1.0) -> Loss:
    """Laplace noise: heavier tails, so a far-off target pulls no harder than a near one.

    Formula:
        L = sum |z - t|, dL/dz = sign(z - t), d2L/dz2 = 0
        ln p(t | z) = -L / scale - N ln(2 scale)

    Args:
        predictions: float, any shape.
        targets: float, the same shape.
        scale: mean magnitude of the noise, above 0; only the likelihood asks for it.
    """
    _check_alike(predictions, targets)
    _check_positive("scale", scale)
    off = predictions - targets
    value = off.abs().sum()
    likelihood = -value / scale - off.numel() * math.log(2 * scale)
    return Loss(value, off.sign(), torch.zeros_like(off), likelihood)


def binary_cross_entropy(predictions: Tensor, targets: Tensor) -> Loss:
    """Coins (Bernoulli), each its own yes or no: independent sigmoids.

    Formula:
        L = -sum [t ln p + (1 - t) ln(1 - p)] = -ln p(t | p)
        dL/dp = (p - t) / (p (1 - p)), d2L/dp2 = t / p^2 + (1 - t) / (1 - p)^2

    Args:
        predictions: p, float, any shape, in (0, 1).
        targets: float, the same shape, 0 or 1.
    """
    _check_alike(predictions, targets)
    _check_between("predictions", predictions)
    _check_zero_or_one(targets)
    value = -(targets * predictions.log() + (1 - targets) * (1 - predictions).log()).sum()
    gradient = (predictions - targets) / (predictions * (1 - predictions))
    return Loss(value, gradient, targets / predictions**2 + (1 - targets) / (1 - predictions) ** 2, -value)


def categorical_cross_entropy(predictions: Tensor, targets: Tensor) -> Loss:
    """One draw out of C (categorical): only the true class appears, the others through the sum to 1.

    Formula:
        L = -sum_n sum_k t_nk ln p_nk = -ln p(t | p)
        dL/dp = -t / p, d2L/dp2 = t / p^2

    Args:
        predictions: p (N, C), float, in (0, 1].
        targets: (N, C), one-hot.
    """
    _check_alike(predictions, targets)
    _check_between("predictions", predictions, is_one_allowed=True)
    _check_zero_or_one(targets)
    if targets.ndim != 2 or not bool((targets.sum(dim=1) == 1).all()):
        raise ValueError("targets must be one-hot (N, C), a single 1 in each row")
    value = -(targets * predictions.log()).sum()
    return Loss(value, -targets / predictions, targets / predictions**2, -value)


def sparse_cross_entropy(predictions: Tensor, targets: Tensor) -> Loss:
    """The same draw out of C, its outcome given as a number instead of a row.

    Formula:
        L = -sum_n ln p[n, t_n] = -ln p(t | p)
        dL/dp[n, t_n] = -1 / p[n, t_n], 0 elsewhere

    Args:
        predictions: p (N, C), float, in (0, 1].
        targets: (N,), int64, in [0, C).
    """
    if targets.dtype != torch.int64 or predictions.ndim != 2 or targets.shape != predictions.shape[:1]:
        raise ValueError(f"targets must be int64, one for each row, got {targets.dtype} {tuple(targets.shape)}")
    classes = predictions.shape[1]
    if not bool(((targets >= 0) & (targets < classes)).all()):
        raise ValueError(f"targets must be in 0..{classes - 1}, got {targets.min()} to {targets.max()}")
    return categorical_cross_entropy(predictions, torch.nn.functional.one_hot(targets, classes).to(predictions))


def hinge(predictions: Tensor, targets: Tensor) -> Loss:
    """No noise at all, only a margin: nothing to pay beyond it, and no probability to read off.

    Formula:
        L = sum max(0, 1 - t a), dL/da = -t if t a < 1 else 0, d2L/da2 = 0

    Args:
        predictions: a, float, any shape.
        targets: float, the same shape, -1 or 1.
    """
    _check_alike(predictions, targets)
    if not bool((targets.abs() == 1).all()):
        raise ValueError("targets must be -1 or 1 for the hinge loss")
    short = 1 - targets * predictions
    gradient = torch.where(short > 0, -targets, 0.0)
    return Loss(short.clamp(min=0).sum(), gradient, torch.zeros_like(short), None)


def most_probable_weights(inputs: Tensor, targets: Tensor, *, noise: float = 1.0, prior: float = 1.0) -> Tensor:
    """Linear weights of highest posterior: Gaussian noise and a Gaussian prior make weight decay.

    Formula:
        ln p(w | t) = -[SSE(w) + gamma |w|^2] / (2 noise^2) + constant, gamma = noise^2 / prior^2
        w = (X^T X + gamma I)^-1 X^T t

    Args:
        inputs: X (N, D), float; a column of ones for the offset, which is then decayed too.
        targets: (N,), float.
        noise: standard deviation of the noise, above 0.
        prior: standard deviation of the weights before anything is seen, above 0.

    Returns:
        (D,), dtype and device of inputs.
    """
    _check_positive("noise", noise)
    _check_positive("prior", prior)
    if inputs.ndim != 2 or targets.shape != inputs.shape[:1]:
        raise ValueError(f"targets must have shape ({len(inputs)},), one for each row, got {tuple(targets.shape)}")
    gamma = (noise / prior) ** 2
    weights: Tensor = torch.linalg.solve(
        inputs.T @ inputs + gamma * torch.eye(inputs.shape[1]).to(inputs), inputs.T @ targets
    )
    return weights


def _check_alike(predictions: Tensor, targets: Tensor) -> None:
    if not predictions.is_floating_point() or predictions.shape != targets.shape:
        given = f"{predictions.dtype} {tuple(predictions.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"predictions must be float and of the shape of targets, got {given}")


def _check_positive(name: str, value: float) -> None:
    check_range(name, value, 0)
    if value == 0:
        raise ValueError(f"{name} must be above 0, got 0")


def _check_between(name: str, values: Tensor, *, is_one_allowed: bool = False) -> None:
    if not bool(((values > 0) & ((values <= 1) if is_one_allowed else (values < 1))).all()):
        end = "1]" if is_one_allowed else "1)"
        raise ValueError(f"{name} must be in (0, {end}, got {values.min():.3g} to {values.max():.3g}")


def _check_zero_or_one(targets: Tensor) -> None:
    if not bool(((targets == 0) | (targets == 1)).all()):
        raise ValueError("targets must be 0 or 1")


EACH = (squared_error, absolute_error, binary_cross_entropy, categorical_cross_entropy, sparse_cross_entropy, hinge)
"""In the order they are taught."""
