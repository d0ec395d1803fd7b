"""Logistic posteriors: how likely weights are after points of two classes, and where that is highest.

C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.3 (Newton's steps, IRLS).
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
A. Albert, J. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic Regression Models", Biometrika
71, 1984. https://doi.org/10.1093/biomet/71.1.1

Rows are (1, x): the first weight is the bias.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

NEAR = 1e-8
"""Length of the gradient at which Newton's steps end."""

STEPS = 100


def log_posterior(weights: Tensor, rows: Tensor, targets: Tensor, precisions: Tensor) -> Tensor:
    """Log of likelihood times prior, without the prior's constant; of the whole set, not its mean.

    Formula:
        L(w) = sum over i of [y_i a_i - softplus(a_i)] - 1/2 sum over j of alpha_j w_j^2, a_i = w·(1, x_i)

    Args:
        weights: (..., M), float64.
        rows: (N, M).
        targets: (N,), 0 or 1.
        precisions: alpha (M,), at least 0.

    Returns:
        (...), nats.
    """
    return log_likelihood(weights, rows, targets) - (precisions * weights**2).sum(dim=-1) / 2


def log_likelihood(weights: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """The first sum of it: (..., M) -> (...)."""
    logits = weights @ rows.T  # (..., N)
    return (targets * logits - F.softplus(logits)).sum(dim=-1)


def log_prior_constant(precisions: Tensor) -> float:
    """What makes the prior sum to 1: 1/2 sum ln alpha_j - M/2 ln 2 pi."""
    return float(precisions.log().sum() / 2) - len(precisions) / 2 * math.log(2 * math.pi)


def gradient(weights: Tensor, rows: Tensor, targets: Tensor, precisions: Tensor) -> Tensor:
    """Of L: sum of (y_i - p_i) x_i - alpha w, (M,)."""
    return rows.T @ (targets - (rows @ weights).sigmoid()) - precisions * weights


def curvature(weights: Tensor, rows: Tensor, precisions: Tensor) -> Tensor:
    """Minus the hessian of L: sum of p_i (1 - p_i) x_i x_i^T + diag(alpha), (M, M)."""
    chance = (rows @ weights).sigmoid()
    return rows.T @ ((chance * (1 - chance))[:, None] * rows) + torch.diag(precisions)


def by_newton(rows: Tensor, targets: Tensor, precisions: Tensor) -> Tensor:
    """The weights of highest posterior, (M,), by Newton's steps, halved where they would go down.

    Raises:
        ValueError: weights without a prior run away, or the steps do not end.
    """
    _check_bounded(rows, targets, precisions)
    weights = rows.new_zeros(rows.shape[1])
    limit = max(NEAR, 1e-15 * float(rows.abs().sum()))  # no sum of float64 is finer
    slope = gradient(weights, rows, targets, precisions)
    for _ in range(STEPS):
        if float(slope.norm()) <= limit:
            return weights
        factor, failed = torch.linalg.cholesky_ex(curvature(weights, rows, precisions))
        if int(failed):
            raise ValueError("rows must differ in every direction where no prior holds them: give alpha > 0")
        step = torch.cholesky_solve(slope[:, None], factor)[:, 0]
        before, length = float(log_posterior(weights, rows, targets, precisions)), 1.0
        while (
            float(log_posterior(weights + length * step, rows, targets, precisions)) < before - 1e-12 * abs(before)
            and length > 1e-10
        ):
            length /= 2
        weights = weights + length * step
        slope = gradient(weights, rows, targets, precisions)
    if float(slope.norm()) <= limit:
        return weights
    raise ValueError(f"MAP not reached: after {STEPS} Newton steps the gradient's norm is {float(slope.norm()):.2g}")


def by_descent(
    rows: Tensor, targets: Tensor, precisions: Tensor, *, lr: float = 0.1, momentum: float = 0.9, epochs: int = 20
) -> Tensor:
    """About the same weights, (M,), by full-batch descent on the mean loss, as networks are trained.

    On the mean a prior precision alpha is a weight decay of alpha / N: a decay of 0.05 on 400 points is alpha = 20.
    """
    weights, moved = rows.new_zeros(rows.shape[1]), rows.new_zeros(rows.shape[1])
    for _ in range(epochs):
        moved = momentum * moved - gradient(weights, rows, targets, precisions) / len(rows)
        weights = weights - lr * moved
    return weights


def _check_bounded(rows: Tensor, targets: Tensor, precisions: Tensor) -> None:
    """Refuse a set that weights without a prior can follow for ever: none on its wrong side, some strictly right."""
    free = precisions == 0
    if not bool(free.any()):
        return
    from scipy.optimize import linprog

    signed = ((2 * targets - 1)[:, None] * rows[:, free]).cpu().numpy()  # (N, F)
    found = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=[0.0] * len(signed), bounds=(-1, 1))
    if found.status != 0 or -found.fun > 1e-9 * max(1.0, abs(signed).sum()):
        raise ValueError("MAP diverges: classes are linearly separable, give alpha > 0")
