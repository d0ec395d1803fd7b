"""Gradient descent: a step against the slope.

H. Robbins, S. Monro, "A Stochastic Approximation Method", Annals of Mathematical Statistics 22, 1951.
https://doi.org/10.1214/aoms/1177729586
Weight decay: A. Krogh, J. Hertz, "A Simple Weight Decay Can Improve Generalization", NeurIPS 1991.
https://papers.nips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html
"""

from torch import Tensor

from pellucid.checks import check_range

from ._descent import Function, check_rate, check_start, walk


def sgd(
    function: Function,
    start: Tensor,
    *,
    steps: int = 100,
    lr: float = 0.01,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> Tensor:
    """A step against the slope, as long as the slope is steep.

    Formula:
        w = w - lr (g + weight_decay w)

    A penalty gamma |w|^2 in the function has the slope 2 gamma w: it is weight_decay = 2 gamma.

    Args:
        function: weights (D,) to one number; asked once a step, so it may draw a mini-batch each time.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: length of a step per unit of slope, at least 0.
        weight_decay: pull towards zero per unit of weight, at least 0.
        decoupled: shrink the weights first, then step; the same here, another thing in AdamW.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the function became infinite.
    """
    check_start(start, steps)
    check_rate(lr)
    check_range("weight_decay", weight_decay, 0)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        if decoupled:
            return weights * (1 - lr * weight_decay) - lr * gradient
        return weights - lr * (gradient + weight_decay * weights)

    return walk(function, start, steps, move, lr=lr)
