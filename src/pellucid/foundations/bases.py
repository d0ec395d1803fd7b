"""Bases: what a linear model is linear in, features of the inputs as columns of a design matrix.

C. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 3.1.
https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_count

Basis: TypeAlias = Callable[[Tensor], Tensor]
"""Inputs (N, d), float64, to features (N, M); one of those below or any function of your own."""


@dataclass(frozen=True)
class Linear:
    """The inputs themselves after a one: (1, x)."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (N, d + 1) of inputs (N, d)."""
        return torch.cat([torch.ones_like(inputs[:, :1]), inputs], dim=1)


@dataclass(frozen=True)
class Polynomial:
    """Powers of one input: (1, x, ..., x^(columns - 1)).

    Fields:
        columns: how many, at least 1; the degree is one less.
    """

    columns: int = 10

    def __post_init__(self) -> None:
        check_count("columns", self.columns, 1)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (N, columns) of inputs (N, 1)."""
        return _one(self, inputs) ** torch.arange(self.columns, dtype=inputs.dtype, device=inputs.device)


@dataclass(frozen=True)
class Gaussian:
    """Bumps side by side on one input: exp(-(x - m_j)^2 / (2 s^2)); far from all of them every feature is 0.

    Fields:
        bumps: how many, at least 1; their middles m_j are evenly spaced from low to high.
        low: middle of the first.
        high: middle of the last, above low.
        width: s, above 0; none is (high - low) / bumps.
        bias: put a column of ones first: then the answer far away is the bias, as unsure as its weight is.
    """

    bumps: int = 9
    low: float = 0.0
    high: float = 1.0
    width: float | None = None
    bias: bool = False

    def __post_init__(self) -> None:
        check_count("bumps", self.bumps, 1)
        if not self.high > self.low:
            raise ValueError(f"high must be above low {self.low}, got {self.high}")
        if self.width is not None and not self.width > 0:
            raise ValueError(f"width must be above 0, got {self.width}")

    def __call__(self, inputs: Tensor) -> Tensor:
        """Features (N, bumps), or one more with bias, of inputs (N, 1)."""
        width = self.width or (self.high - self.low) / self.bumps
        middles = torch.linspace(self.low, self.high, self.bumps, dtype=inputs.dtype, device=inputs.device)
        bumps = torch.exp(-((_one(self, inputs) - middles) ** 2) / (2 * width**2))  # (N, M)
        return torch.cat([torch.ones_like(bumps[:, :1]), bumps], dim=1) if self.bias else bumps


def design(basis: Basis, inputs: Tensor) -> Tensor:
    """The features of some inputs, looked at before anything is done with them.

    Args:
        basis: see `Basis`.
        inputs: (N,) or (N, d), float, finite.

    Returns:
        Phi (N, M), float64.

    Raises:
        ValueError: inputs that are none, or features that are no finite matrix (basis and input are named).
    """
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs.ndim not in {1, 2}:
        given = f"{inputs.dtype} {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
        raise ValueError(f"inputs must be a float tensor (N,) or (N, d), got {given}")
    if not bool(inputs.isfinite().all()):
        raise ValueError("inputs must be finite, got NaN or infinite values")
    rows = inputs.double().reshape(len(inputs), 1 if inputs.ndim == 1 else inputs.shape[1])  # (N, d)
    features = basis(rows)
    if features.ndim != 2 or len(features) != len(rows):
        raise ValueError(f"basis must give features ({len(rows)}, M), got {tuple(features.shape)} from {basis}")
    is_bad = ~features.isfinite().all(dim=1)
    if bool(is_bad.any()):
        raise ValueError(f"basis must give finite features, but {basis} does not at x = {rows[is_bad][0].tolist()}")
    return features.double()


def _one(basis: Basis, inputs: Tensor) -> Tensor:
    if inputs.shape[1] != 1:
        raise ValueError(f"inputs must be one number a point for {basis}, got {inputs.shape[1]}; take Linear()")
    return inputs
