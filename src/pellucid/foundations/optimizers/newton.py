"""Newton's method: jump to where the slope would be zero if the function were a parabola.

J. Nocedal, S. Wright, "Numerical Optimization", Springer 2006, sections 3.3 and 3.4.
https://doi.org/10.1007/978-0-387-40065-5
"""

import torch
from torch import Tensor

from pellucid.checks import check_range

from ._descent import Function, check_rate, check_start, walk

MOST = 200
"""Weights at most: the curvature is a matrix of all pairs, and solving with it costs their cube."""


def newton(function: Function, start: Tensor, *, steps: int = 10, lr: float = 1.0, damping: float = 0.0) -> Tensor:
    """The slope divided by the curvature: one step on a parabola; drawn to saddles unless damped.

    Formula:
        w = w - lr (H + damping I)^-1 g

    H is the matrix of second derivatives. Where it has a negative eigenvalue the step climbs; damping above its
    size makes the step a descent again.

    Args:
        function: smooth, weights (D,) to one number, the same at each call; D at most 200.
        start: (D,), float: the weights to begin with.
        steps: updates, at least 0.
        lr: share of the step that is taken, at least 0.
        damping: added to every curvature, at least 0.

    Returns:
        (steps + 1, D), dtype and device of start: the weights before, between and after the steps.

    Raises:
        ValueError: an argument is out of the range above, or the curvature has no inverse.
    """
    check_start(start, steps)
    check_rate(lr)
    check_range("damping", damping, 0)
    if len(start) > MOST:
        raise ValueError(f"start must have at most {MOST} weights for Newton's method, got {len(start)}: take lbfgs")
    identity = torch.eye(len(start), dtype=start.dtype, device=start.device)

    def move(weights: Tensor, gradient: Tensor) -> Tensor:
        with torch.enable_grad():
            curvature = torch.autograd.functional.hessian(function, weights)  # type: ignore[no-untyped-call]  # (D, D)
        jump: Tensor
        jump, has_failed = torch.linalg.solve_ex(curvature + damping * identity, gradient)
        if has_failed:
            raise ValueError(f"damping must be larger than {damping}: the curvature has no inverse here")
        return weights - lr * jump

    return walk(function, start, steps, move, lr=lr)
