"""Gaussian posteriors: a normal density over weights, and Laplace's way to one from any log density.

D. MacKay, "Information Theory, Inference, and Learning Algorithms", Cambridge University Press 2003, chapter 27.
https://www.inference.org.uk/mackay/itila/
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count


@dataclass(frozen=True)
class Gaussian:
    """A normal density over M weights."""

    mean: Tensor  # (M,), float64
    root: Tensor  # (M, M), lower triangular: the covariance is root root^T

    @property
    def covariance(self) -> Tensor:
        """(M, M)."""
        return self.root @ self.root.T

    def variance(self, rows: Tensor) -> Tensor:
        """Of the scalar product of the weights with each row, x^T S x: (N, M) -> (N,), at least 0."""
        return (rows @ self.root).square().sum(dim=1)

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Weights (count, M); None takes seed 0."""
        check_count("count", count, 1)
        source = generator or torch.Generator().manual_seed(0)
        noise = torch.randn(count, len(self.mean), generator=source, dtype=self.mean.dtype)
        return self.mean + noise @ self.root.T


@dataclass(frozen=True)
class AtMode:
    """A density seen from its highest point."""

    gaussian: Gaussian
    log_integral: float  # nats: of the parabola under the log density; the log evidence where that is normalised


def gaussian_at(log_density: Callable[[Tensor], Tensor], mode: Tensor) -> AtMode:
    """Laplace's approximation: the normal density of equal mode and curvature; exact where the log is a parabola.

    Formula:
        S^-1 = -hessian of L at m
        ln Z = L(m) + M/2 ln 2 pi - 1/2 ln |S^-1|

    Args:
        log_density: L, weights (M,) to one number, twice differentiable; a constant missing moves ln Z only.
        mode: m (M,), float64, where L is highest; says nothing of other modes.

    Raises:
        ValueError: the density does not fall from the mode in every direction.
    """
    curvature = -torch.autograd.functional.hessian(log_density, mode.detach().double())  # type: ignore[no-untyped-call]
    return gaussian_of(mode.detach().double(), curvature, float(log_density(mode.detach().double())))


def gaussian_of(mode: Tensor, curvature: Tensor, height: float) -> AtMode:
    """The same from a curvature that is known.

    Args:
        mode: (M,), float64.
        curvature: S^-1 (M, M), minus the hessian of the log density at the mode.
        height: the log density at the mode.

    Raises:
        ValueError: the curvature is not positive definite.
    """
    factor, failed = torch.linalg.cholesky_ex(curvature)
    if int(failed):
        raise ValueError("the posterior must fall from its mode in every direction: give a prior precision above 0")
    root: Tensor = torch.linalg.cholesky(torch.cholesky_inverse(factor))
    height += len(mode) / 2 * math.log(2 * math.pi) - float(factor.diagonal().log().sum())
    return AtMode(Gaussian(mode, root), height)
