"""AdamW: Adam, with weight decay beside the step instead of inside the slope.

I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
https://arxiv.org/abs/1711.05101
"""

from itertools import count

import torch
from torch import Tensor

from pellucid.checks import check_range

from ._descent import Function, check_rate, check_share, check_start, walk


def adamw(
    function: Function,
    start: Tensor,
    *,
    steps: int = 100,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> Tensor:
    """Adam's step, and every weight shrunk by the same share, which no steep slope can drown out.

    Formula:
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) - lr weight_decay w

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step in units of weight, at least 0.
        beta1: share of the mean slope that is kept, in [0, 1).
        beta2: share of the mean square that is kept, in [0, 1).
        epsilon: guard of the division, at least 0.
        weight_decay: share of a weight that goes at each step, in units of lr, at least 0; 0 is Adam.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr, epsilon)
    check_share("beta1", beta1)
    check_share("beta2", beta2)
    check_range("weight_decay", weight_decay, 0)
    mean, square, times = torch.zeros_like(start), torch.zeros_like(start), count(1)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        time = next(times)
        mean.mul_(beta1).add_((1 - beta1) * gradient)
        square.mul_(beta2).add_((1 - beta2) * gradient**2)
        size = (square / (1 - beta2**time)).sqrt() + epsilon
        return weights - lr * mean / (1 - beta1**time) / size - lr * weight_decay * weights

    return walk(function, start, steps, move, lr=lr)
