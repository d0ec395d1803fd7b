"""Kernels: how alike two rows are, most a scalar product in some other space; and the machine that parts by them.

C. Cortes, V. Vapnik, "Support-Vector Networks", Machine Learning 20, 1995. https://doi.org/10.1007/BF00994018
B. Schölkopf, A. Smola, "Learning with Kernels", MIT Press 2002, chapters 2 and 7.
https://mitpress.mit.edu/9780262536578/learning-with-kernels/
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range

KERNELS = ("linear", "rbf", "polynomial", "sigmoid")


@dataclass(frozen=True)
class Parted:
    """What a support vector machine learned."""

    machine: Any  # scikit-learn's SVC
    train_accuracy: float  # in [0, 1]
    test_accuracy: float  # in [0, 1]
    support: Tensor  # (S,), int64: rows of the training set the boundary rests on

    def landscape(self, points: Tensor) -> Tensor:
        """The decision value of two classes, (..., d) -> (...): positive is class 1, 0 is the boundary."""
        flat = points.double().reshape(-1, points.shape[-1])
        return torch.from_numpy(self.machine.decision_function(flat.numpy())).reshape(points.shape[:-1])


def linear(rows: Tensor, others: Tensor) -> Tensor:
    """The plain scalar product: boundaries are straight.

    Formula:
        k(x, z) = <x, z>

    Args:
        rows: (N, d), float.
        others: (M, d), float.

    Returns:
        (N, M), larger is more alike.
    """
    _check(rows, others)
    return rows @ others.T


def rbf(rows: Tensor, others: Tensor, *, gamma: float = 1.0) -> Tensor:
    """Likeness that falls with distance: 1 at the same place, 0 far away, whatever the direction.

    Formula:
        k(x, z) = exp(-gamma |x - z|^2)

    Args:
        rows: (N, d), float.
        others: (M, d), float.
        gamma: one over the squared reach, at least 0; `scaled_gamma` is the usual choice.

    Returns:
        (N, M), in [0, 1], 1 on the diagonal of a set with itself; positive semidefinite.
    """
    _check(rows, others)
    check_range("gamma", gamma, 0)
    return torch.exp(-gamma * ((rows[:, None] - others) ** 2).sum(dim=2))


def polynomial(rows: Tensor, others: Tensor, *, degree: int = 2, gamma: float = 1.0, offset: float = 0.0) -> Tensor:
    """All products of so many coordinates; an odd degree without offset has no squares and cannot ring a circle.

    Formula:
        k(x, z) = (gamma <x, z> + offset)^degree

    Args:
        rows: (N, d), float.
        others: (M, d), float.
        degree: at least 1.
        gamma: scale of the product, at least 0.
        offset: brings in the lower degrees, at least 0.

    Returns:
        (N, M); positive semidefinite.
    """
    _check(rows, others)
    check_count("degree", degree, 1)
    check_range("gamma", gamma, 0)
    check_range("offset", offset, 0)
    return (gamma * rows @ others.T + offset) ** degree


def sigmoid(rows: Tensor, others: Tensor, *, gamma: float = 1.0, offset: float = 0.0) -> Tensor:
    """A scalar product squashed to (-1, 1): in general no scalar product of any space, and no default choice.

    Formula:
        k(x, z) = tanh(gamma <x, z> + offset)

    Args:
        rows: (N, d), float.
        others: (M, d), float.
        gamma: scale of the product.
        offset: added to it.

    Returns:
        (N, M); may have negative eigenvalues.
    """
    _check(rows, others)
    return torch.tanh(gamma * rows @ others.T + offset)


def scaled_gamma(rows: Tensor) -> float:
    """The usual gamma: one over the number of columns times the variance of all values.

    Args:
        rows: (N, d), float, that vary.
    """
    _check(rows, rows)
    variance = rows.var(unbiased=False).item()
    if variance == 0:
        raise ValueError("rows must vary for gamma to have a scale, got one value everywhere")
    return 1 / (rows.shape[1] * variance)


def quadratic_features(rows: Tensor, *, gamma: float = 1.0, offset: float = 0.0) -> Tensor:
    """The space in which the polynomial kernel of degree 2 is a plain scalar product.

    Formula:
        phi(x) = (gamma x_i^2, sqrt(2) gamma x_i x_j for i < j, sqrt(2 gamma offset) x_i, offset)

    Args:
        rows: (N, d), float.
        gamma: as the kernel's, at least 0.
        offset: as the kernel's, at least 0.

    Returns:
        (N, d (d + 1) / 2 + d + 1).
    """
    _check(rows, rows)
    check_range("gamma", gamma, 0)
    check_range("offset", offset, 0)
    one, other = torch.triu_indices(rows.shape[1], rows.shape[1], offset=1)
    mixed = 2**0.5 * gamma * rows[:, one] * rows[:, other]
    constant = torch.full_like(rows[:, :1], offset)
    return torch.cat([gamma * rows**2, mixed, (2 * gamma * offset) ** 0.5 * rows, constant], dim=1)


def lowest_eigenvalue(gram: Tensor) -> float:
    """The smallest eigenvalue of a symmetric matrix (N, N): below zero, it is no matrix of scalar products."""
    return float(torch.linalg.eigvalsh(gram)[0])


def part(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    kernel: str = "rbf",
    c: float = 1.0,
    degree: int = 2,
    offset: float = 0.0,
) -> Parted:
    """Fit scikit-learn's support vector machine with one of the kernels; gamma is scaled to the data.

    Args:
        train: values (N, d), float, and targets (N,), int64, of at least two classes.
        test: the same of other rows, asked once.
        kernel: linear, rbf, polynomial or sigmoid.
        c: price of a training row on the wrong side, above 0: small forgives and smooths.
        degree: of the polynomial, at least 1.
        offset: of polynomial and sigmoid, at least 0.

    Raises:
        ValueError: an argument is out of the range above.
    """
    check_choice("kernel", kernel, KERNELS)
    if not c > 0:
        raise ValueError(f"c must be above 0, got {c}")
    check_count("degree", degree, 1)
    check_range("offset", offset, 0)
    if len(set(train[1].tolist())) < 2:
        raise ValueError(f"train must have at least two classes, got only class {train[1][0]}")
    from sklearn.svm import SVC

    name = {"polynomial": "poly"}.get(kernel, kernel)
    machine = SVC(C=c, kernel=name, degree=degree, coef0=offset, gamma=scaled_gamma(train[0]))
    machine.fit(train[0].numpy(), train[1].numpy())
    scores = [float(machine.score(values.numpy(), targets.numpy())) for values, targets in (train, test)]
    return Parted(machine, scores[0], scores[1], torch.from_numpy(machine.support_).long())


def _check(rows: Tensor, others: Tensor) -> None:
    if rows.ndim != 2 or others.ndim != 2 or rows.shape[1] != others.shape[1] or not rows.is_floating_point():
        raise ValueError(f"rows must be float (N, d) of equal d, got {tuple(rows.shape)} and {tuple(others.shape)}")
