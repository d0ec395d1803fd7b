"""Adagrad: each weight's slope in units of all it has seen.

J. Duchi, E. Hazan, Y. Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
JMLR 12, 2011. https://jmlr.org/papers/v12/duchi11a.html
"""

import torch
from torch import Tensor

from ._descent import Function, check_rate, check_start, walk


def adagrad(function: Function, start: Tensor, *, steps: int = 100, lr: float = 0.01, epsilon: float = 1e-10) -> Tensor:
    """A step against the slope divided by the root of the sum of its squares: steps only ever get shorter.

    Formula:
        s = s + g^2
        w = w - lr g / (sqrt(s) + epsilon)

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of the first step in units of weight, at least 0.
        epsilon: guard of the division, at least 0.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr, epsilon)
    squares = torch.zeros_like(start)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        squares.add_(gradient**2)
        return weights - lr * gradient / (squares.sqrt() + epsilon)

    return walk(function, start, steps, move, lr=lr)
