"""Momentum as a running mean: the same ball, its velocity in units of one slope.

D. Rumelhart, G. Hinton, R. Williams, "Learning Representations by Back-Propagating Errors", Nature 323, 1986.
https://doi.org/10.1038/323533a0
"""

import torch
from torch import Tensor

from ._descent import Function, check_rate, check_share, check_start, walk


def momentum_average(
    function: Function, start: Tensor, *, steps: int = 100, lr: float = 0.1, beta: float = 0.9
) -> Tensor:
    """A step along the running mean of the slopes: momentum whose lr is (1 - beta) of what is given.

    Formula:
        v = beta v + (1 - beta) g
        w = w - lr v

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step per unit of mean slope, at least 0; (1 - beta) lr is what `momentum` calls lr.
        beta: share of the mean that is kept, in [0, 1).

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr)
    check_share("beta", beta)
    mean = torch.zeros_like(start)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        mean.mul_(beta).add_((1 - beta) * gradient)
        return weights - lr * mean

    return walk(function, start, steps, move, lr=lr)
