"""Squashed normals: the probability of class 1 where its logit is not known but normal, a ~ N(mean, variance).

D. MacKay, "The Evidence Framework Applied to Classification Networks", Neural Computation 4, 1992: probit.
https://doi.org/10.1162/neco.1992.4.5.720

Each is probability(mean (N,), variance (N,)) -> (N,), in [0, 1]. To squash the mean, as `plugin` does, forgets the
variance; to average logits and squash then would forget it too.
"""

from collections.abc import Callable

import torch
from torch import Tensor

REACH, NODES, DENSE, ROWS = 9.0, 4001, 40, 1024
"""A trapezoid over so many standard deviations to each side, with so many places at most, so many for each unit of the
standard deviation (the error of a trapezoid falls as exp(-2 pi^2 / step), the poles of sigma being pi away), and so
many rows at a time."""


def plugin(mean: Tensor, variance: Tensor) -> Tensor:  # noqa: ARG001
    """The mean squashed, as if it were known.

    Formula:
        sigma(mean)
    """
    return mean.sigmoid()


def probit(mean: Tensor, variance: Tensor) -> Tensor:
    """As a probit would have it, in closed form; within 0.025 of the integral.

    Formula:
        sigma(kappa mean), kappa = (1 + pi variance / 8)^(-1/2)
    """
    return (mean / (1 + torch.pi * variance / 8).sqrt()).sigmoid()


def quad(mean: Tensor, variance: Tensor) -> Tensor:
    """The integral itself, by a trapezoid: exact to 1e-9 up to a variance of 10,000.

    Formula:
        integral of sigma(a) N(a; mean, variance) da
    """
    return expectation(torch.sigmoid, mean, variance)


def deviation(mean: Tensor, variance: Tensor) -> Tensor:
    """Standard deviation of the squashed logit, (N,), in [0, 0.5]: how far the probability itself is open."""
    first = quad(mean, variance)
    return (expectation(lambda a: a.sigmoid().square(), mean, variance) - first.square()).clamp_min(0).sqrt()


def expectation(function: Callable[[Tensor], Tensor], mean: Tensor, variance: Tensor) -> Tensor:
    """Mean of a smooth function of a normal number.

    Args:
        function: elementwise.
        mean: (N,), float64.
        variance: (N,), at least 0.

    Returns:
        (N,); differentiable by mean and, where it is above 0, by variance.
    """
    found = [
        _integral(function, middle[:, None], spread[:, None])
        for middle, spread in zip(torch.split(mean, ROWS), torch.split(variance.sqrt(), ROWS), strict=True)
    ]
    return torch.cat(found)


def _integral(function: Callable[[Tensor], Tensor], mean: Tensor, spread: Tensor) -> Tensor:
    """The trapezoid, (n, 1) to (n,), with as many places as the widest of the rows needs."""
    widest = float(spread.detach().max()) if len(spread) else 0.0
    places = int(min(NODES, max(101, DENSE * widest + 1)))
    steps = torch.linspace(-REACH, REACH, places, dtype=mean.dtype, device=mean.device)
    weights = torch.exp(-(steps**2) / 2)
    return function(mean + spread * steps) @ (weights / weights.sum())  # (n, places) to (n,)


PREDICTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"plugin": plugin, "probit": probit, "quad": quad}
"""By name; `mc` besides them draws weights."""
