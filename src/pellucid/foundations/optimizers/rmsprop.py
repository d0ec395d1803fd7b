"""RMSprop: each weight's slope in units of its own recent size.

T. Tieleman, G. Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
"""

import torch
from torch import Tensor

from ._descent import Function, check_rate, check_share, check_start, walk


def rmsprop(
    function: Function,
    start: Tensor,
    *,
    steps: int = 100,
    lr: float = 0.01,
    decay: float = 0.9,
    epsilon: float = 1e-8,
) -> Tensor:
    """A step against the slope divided by the root of its running mean square.

    Formula:
        s = decay s + (1 - decay) g^2
        w = w - lr g / (sqrt(s) + epsilon)

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step in units of weight, at least 0.
        decay: share of the mean square that is kept, in [0, 1).
        epsilon: guard of the division, at least 0.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr, epsilon)
    check_share("decay", decay)
    square = torch.zeros_like(start)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        square.mul_(decay).add_((1 - decay) * gradient**2)
        return weights - lr * gradient / (square.sqrt() + epsilon)

    return walk(function, start, steps, move, lr=lr)
