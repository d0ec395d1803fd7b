"""What every optimiser asks of its function: a slope, and that both stay finite."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

Function: TypeAlias = Callable[[Tensor], Tensor]
"""Weights (D,) to one number; may draw another mini-batch at each call, which is one call a step."""


def check_start(start: Tensor, steps: int) -> None:
    """Refuse weights that are no finite float vector, and a number of steps that is none."""
    if not isinstance(start, Tensor) or not start.is_floating_point() or start.ndim != 1 or not len(start):
        given = f"{start.dtype} {tuple(start.shape)}" if isinstance(start, Tensor) else type(start).__name__
        raise ValueError(f"start must be a float tensor (D,), got {given}")
    if not bool(start.isfinite().all()):
        raise ValueError("start must be finite, got NaN or infinite values")
    check_count("steps", steps, 0)


def check_share(name: str, value: float) -> None:
    """Refuse a share of the past outside [0, 1): at 1 nothing new would ever count."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def check_rate(lr: float, epsilon: float = 0.0) -> None:
    """Refuse a negative step length or guard."""
    check_range("lr", lr, 0)
    check_range("epsilon", epsilon, 0)


def walk(
    function: Function, start: Tensor, steps: int, move: Callable[[Tensor, Tensor], Tensor], *, lr: float
) -> Tensor:
    """Ask for the slope, move, remember; the path (steps + 1, D)."""
    path = [start.detach().clone()]
    for step in range(1, steps + 1):
        path.append(move(path[-1], slope(function, path[-1], step=step, lr=lr)).detach())
    return torch.stack(path)


def slope(function: Function, weights: Tensor, *, step: int, lr: float) -> Tensor:
    """The gradient (D,) of the function at the weights."""
    return value_and_slope(function, weights, step=step, lr=lr)[1]


def value_and_slope(function: Function, weights: Tensor, *, step: int, lr: float) -> tuple[Tensor, Tensor]:
    """The function's value () and its gradient (D,)."""
    with torch.enable_grad():
        leaf = weights.detach().requires_grad_()
        value = function(leaf)
        if value.numel() != 1 or not value.requires_grad:
            raise ValueError(f"function must give one number that depends on the weights, got {tuple(value.shape)}")
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
    if not bool(value.isfinite().all() and gradient.isfinite().all()):
        raise ValueError(f"function became {value.item():.3g} at step {step}, lr {lr}: lower lr")
    return value.detach().squeeze(), gradient
