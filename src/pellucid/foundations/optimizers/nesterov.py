"""Nesterov momentum: look where the ball will be, and take the slope there.

Y. Nesterov, "A Method of Solving a Convex Programming Problem with Convergence Rate O(1/k^2)", Soviet Mathematics
Doklady 27, 1983. https://www.mathnet.ru/eng/dan46009
I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the Importance of Initialization and Momentum in Deep Learning",
ICML 2013, equations 3-4. https://proceedings.mlr.press/v28/sutskever13.html
"""

import torch
from torch import Tensor

from ._descent import Function, check_rate, check_share, check_start, walk


def nesterov(function: Function, start: Tensor, *, steps: int = 100, lr: float = 0.01, momentum: float = 0.9) -> Tensor:
    """Momentum that takes its slope one roll ahead, and so brakes before the ground rises.

    Formula:
        v = momentum v + g(w)
        w = w - lr (g(w) + momentum v)

    The w here is the place ahead: with u = w + lr momentum v, the papers' form is
    v = momentum v + g(u - lr momentum v), u = u - lr v, and the slope is taken at u - lr momentum v.

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step per unit of velocity, at least 0.
        momentum: share of the velocity that is kept, in [0, 1).

    Returns:
        (steps + 1, D), dtype and device of start: the places ahead, where the slopes were taken.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr)
    check_share("momentum", momentum)
    velocity = torch.zeros_like(start)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        velocity.mul_(momentum).add_(gradient)
        return weights - lr * (gradient + momentum * velocity)

    return walk(function, start, steps, move, lr=lr)
