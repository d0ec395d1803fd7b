"""Adam: a running mean of slopes, in units of their running size.

D. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
https://arxiv.org/abs/1412.6980
"""

from torch import Tensor

from ._descent import Function
from .adamw import adamw


def adam(
    function: Function,
    start: Tensor,
    *,
    steps: int = 100,
    lr: float = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Tensor:
    """A step along the mean slope divided by the root mean square, both freed of their start at zero.

    Formula:
        m = beta1 m + (1 - beta1) g
        v = beta2 v + (1 - beta2) g^2
        w = w - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)

    The first step is lr times the sign of the slope, however steep it is.

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step in units of weight, at least 0.
        beta1: share of the mean slope that is kept, in [0, 1).
        beta2: share of the mean square that is kept, in [0, 1).
        epsilon: guard of the division, at least 0.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    return adamw(function, start, steps=steps, lr=lr, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=0.0)
