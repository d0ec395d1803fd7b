"""Kernels of rows, made from their inner products: one table of products serves every gamma and every fold.

linear      x.z
rbf         exp(-gamma |x - z|^2)
polynomial  (gamma x.z + r)^d
sigmoid     tanh(gamma x.z + r), not positive definite
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._squared_hinge import products

KERNELS = ("linear", "rbf", "polynomial", "sigmoid", "precomputed")

GAMMAS = ("scale", "auto")
"""Gammas that are read off the rows: 1 / (D times the variance of all their values), and 1 / D."""


@dataclass(frozen=True)
class Kernel:
    """A kernel with its numbers."""

    name: str  # of KERNELS but precomputed
    gamma: float
    degree: int  # d
    offset: float  # r

    def of(self, inner: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """The kernel's values (N, M).

        Args:
            inner: (N, M), float64, inner products.
            left: (N,), float64, squared norms of the rows.
            right: (M,), float64, squared norms of the columns.
        """
        if self.name == "rbf":
            distances = (left[:, None] + right - 2 * inner).clamp_(min=0)
            return distances.mul_(-self.gamma).exp_()
        if self.name == "linear":
            return inner
        scaled = self.gamma * inner + self.offset
        return scaled.pow(self.degree) if self.name == "polynomial" else scaled.tanh()


def gamma_of(gamma: float | str, rows: Tensor) -> float:
    """The number a gamma stands for, learned from training rows (N, D)."""
    if not isinstance(gamma, str):
        return float(gamma)
    dimension = rows.shape[1]
    if gamma == "auto":
        return 1 / dimension
    mean = rows.mean(dtype=torch.float64)
    variance = float((rows.double() - mean).square().mean())
    if variance == 0:
        raise ValueError("gamma must be a number or auto where all features are equal, got 'scale'")
    return 1 / (dimension * variance)


def kernel_table(kernel: Kernel, rows: Tensor, others: Tensor) -> Tensor:
    """The kernel's values (N, M), float64, of two sets of rows."""
    left, right = (some.double().square().sum(dim=1) for some in (rows, others))
    return kernel.of(products(rows, others), left, right)
