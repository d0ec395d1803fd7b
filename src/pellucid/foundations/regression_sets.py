"""Points to draw a curve through: three small sets whose truth is known."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice


@dataclass(frozen=True)
class Known:
    """A set, what made it, and where to ask about it."""

    inputs: Tensor  # (N,), float64
    targets: Tensor  # (N,), float64: truth plus normal noise
    truth: Callable[[Tensor], Tensor]  # the curve without noise
    sigma: float  # standard deviation of the noise
    alpha: float  # prior precision of the weights that goes with it
    low: float  # of the test range
    high: float


def regression_set(name: str, *, generator: torch.Generator | None = None) -> Known:
    """A set by its name.

    Args:
        name: line (25 points in [0, 2]), line-gap (ten in [-3, -1], ten in [1, 3]) or rising-sine (50 in [0, 1]).
        generator: of the points and the noise; None: seed 0.

    Raises:
        ValueError: no such set.
    """
    check_choice("name", name, REGRESSION_SETS)
    source = generator or torch.Generator().manual_seed(0)
    inputs = torch.cat([_even(count, low, high, source) for count, low, high in REGRESSION_SETS[name]])
    truth, sigma = _sine if name == "rising-sine" else _line, 0.2
    noise = torch.randn(len(inputs), generator=source, dtype=torch.float64)
    low, high = {"line": (-10.0, 10.0), "line-gap": (-12.0, 12.0), "rising-sine": (-1.0, 2.0)}[name]
    alpha = 0.05 if name == "rising-sine" else 2.0
    return Known(inputs, truth(inputs) + sigma * noise, truth, sigma, alpha, low, high)


REGRESSION_SETS = {"line": [(25, 0, 2)], "line-gap": [(10, -3, -1), (10, 1, 3)], "rising-sine": [(50, 0, 1)]}
"""How many points lie between which ends."""


def _even(count: int, low: float, high: float, source: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=source, dtype=torch.float64)


def _line(inputs: Tensor) -> Tensor:
    return -0.3 + 0.5 * inputs


def _sine(inputs: Tensor) -> Tensor:
    return inputs + torch.sin(2 * torch.pi * inputs)
