"""Momentum: a heavy ball that remembers where it was rolling.

B. Polyak, "Some Methods of Speeding Up the Convergence of Iteration Methods", USSR Computational Mathematics and
Mathematical Physics 4, 1964. https://doi.org/10.1016/0041-5553(64)90137-5
"""

import torch
from torch import Tensor

from ._descent import Function, check_rate, check_share, check_start, walk


def momentum(function: Function, start: Tensor, *, steps: int = 100, lr: float = 0.01, momentum: float = 0.9) -> Tensor:
    """A step along the velocity, which adds up all slopes so far and slowly forgets them.

    Formula:
        v = momentum v + g
        w = w - lr v

    On a constant slope the velocity grows to g / (1 - momentum): ten steps' worth at 0.9.

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step per unit of velocity, at least 0.
        momentum: share of the velocity that is kept, in [0, 1).

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr)
    check_share("momentum", momentum)
    velocity = torch.zeros_like(start)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        velocity.mul_(momentum).add_(gradient)
        return weights - lr * velocity

    return walk(function, start, steps, move, lr=lr)
