"""Variational Gaussians: of all normal densities the one that lies nearest to a posterior, found by its lower bound.

M. Jordan et al., "An Introduction to Variational Methods for Graphical Models", Machine Learning 37, 1999.
https://doi.org/10.1023/A:1007665907178
D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014: draws that can be differentiated.
https://arxiv.org/abs/1312.6114
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count

from .gaussian_posterior import Gaussian
from .optimizers import lbfgs
from .squashed import expectation

Expected: TypeAlias = Callable[[Gaussian, Tensor], Tensor]
"""Mean log likelihood () of the whole set under a density of the weights; (S, M) standard normal draws, or ignored."""

WATCHED, TRACKED = 100, 256
"""Times the bound is looked at, and the draws it is then taken with, the same each time."""

STRETCH, GAIN = 15, 1e-9
"""Steps of the search along lines between two questions whether it still gains so many nats."""


@dataclass(frozen=True)
class Bounded:
    """The density found, and how the bound rose to it."""

    gaussian: Gaussian
    elbos: Tensor  # (T,), nats, the first before any step: at most the log evidence, apart from the noise of draws
    steps: Tensor  # (T,), int64: after which steps


def expected_by_draws(log_likelihood: Callable[[Tensor], Tensor]) -> Expected:
    """Of any likelihood: the mean over draws w = mean + root noise. log_likelihood maps (S, M) to (S,)."""

    def expected(density: Gaussian, noise: Tensor) -> Tensor:
        return log_likelihood(density.mean + noise @ density.root.T).mean()

    return expected


def expected_logistic(rows: Tensor, targets: Tensor) -> Expected:
    """Of a logistic likelihood without draws: each logit is normal, so each expectation has one dimension."""

    def expected(density: Gaussian, _noise: Tensor) -> Tensor:
        mean = rows @ density.mean  # (N,)
        return (targets * mean - expectation(F.softplus, mean, density.variance(rows))).sum()

    return expected


def divergence(density: Gaussian, precisions: Tensor) -> Tensor:
    """KL from the prior N(0, 1 / alpha_j) to a density of the weights, (), nats, at least 0.

    Formula:
        sum over j of 1/2 [alpha_j (S_jj + m_j^2) - 1 - ln alpha_j] - 1/2 ln |S|
    """
    variances = density.root.square().sum(dim=1)
    own = precisions * (variances + density.mean**2) - 1 - precisions.log()
    return own.sum() / 2 - density.root.diagonal().log().sum()


def nearest(
    expected: Expected,
    precisions: Tensor,
    *,
    is_full: bool = False,
    is_exact: bool = False,
    steps: int = 2000,
    lr: float = 0.05,
    draws: int = 8,
    generator: torch.Generator | None = None,
) -> Bounded:
    """The normal density that maximises the lower bound of the log evidence, from the prior on.

    Formula:
        ELBO = E_q[ln p(y | w)] - KL(q || prior), q = N(m, root root^T), diagonal of root = softplus(rho)

    Args:
        expected: the first term; one of those above.
        precisions: alpha (M,), above 0, of the prior.
        is_full: let weights vary together; otherwise each has its own variance only (mean-field).
        is_exact: expected ignores the draws: L-BFGS with a line search, the bound never falls; otherwise Adam.
        steps: at most, at least 1.
        lr: of Adam, above 0.
        draws: of Adam, each step anew, at least 1.
        generator: of the draws; None: seed 0.

    Raises:
        ValueError: an argument is out of the range above.
    """
    check_count("steps", steps, 1)
    check_count("draws", draws, 1)
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if not bool((precisions > 0).all()):
        raise ValueError(
            f"alpha must be above 0 for a bound: a flat prior is infinitely far, got {precisions.tolist()}"
        )
    source = generator or torch.Generator().manual_seed(0)
    start = _start(precisions, is_full)
    noise = torch.randn(TRACKED, len(precisions), generator=source, dtype=start.dtype)

    def bound(parameters: Tensor, draws: Tensor) -> Tensor:
        density = _gaussian(parameters, len(precisions))
        return expected(density, draws) - divergence(density, precisions)

    if is_exact:
        return _climbed(lambda parameters: bound(parameters, noise[:1]), start, len(precisions), steps)
    return _drawn(bound, start, noise, steps=steps, lr=lr, draws=draws, source=source)


def _start(precisions: Tensor, is_full: bool) -> Tensor:
    """The prior, as parameters: m (M,), rho (M,), and with is_full what lies below the diagonal."""
    width, spread = len(precisions), precisions.rsqrt()
    rho = spread + torch.log(-torch.expm1(-spread))  # inverse of softplus
    below = precisions.new_zeros(width * (width - 1) // 2 if is_full else 0)
    return torch.cat([torch.zeros_like(rho), rho, below])


def _gaussian(parameters: Tensor, width: int) -> Gaussian:
    mean, rho, below = parameters[:width], parameters[width : 2 * width], parameters[2 * width :]
    root = torch.diag(F.softplus(rho))
    if len(below):
        rows, columns = torch.tril_indices(width, width, offset=-1)
        root = root.index_put((rows, columns), below)
    return Gaussian(mean, root)


def _climbed(bound: Callable[[Tensor], Tensor], start: Tensor, width: int, steps: int) -> Bounded:
    """By L-BFGS with a line search, a stretch of steps at a time, until a stretch gains nothing."""
    here = start
    with torch.no_grad():
        said = [bound(here).item()]
    while len(said) <= steps:
        path = lbfgs(lambda parameters: -bound(parameters), here, steps=min(STRETCH, steps + 1 - len(said)))
        with torch.no_grad():
            said += [bound(one).item() for one in path[1:]]
        here = path[-1]
        if said[-1] - said[-len(path)] < GAIN:
            break
    return Bounded(_gaussian(here, width), torch.tensor(said, dtype=torch.float64), torch.arange(len(said)))


def _drawn(
    bound: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    noise: Tensor,
    *,
    steps: int,
    lr: float,
    draws: int,
    source: torch.Generator,
) -> Bounded:
    """By Adam, on other draws each step; looked at with the same draws each time."""
    leaf, width = start.clone().requires_grad_(), noise.shape[1]
    optimizer = torch.optim.Adam([leaf], lr=lr)
    seen = sorted({round(steps * part / WATCHED) for part in range(WATCHED + 1)})
    said = list[float]()
    for step in range(steps + 1):
        if step in seen:
            with torch.no_grad():
                said.append(bound(leaf, noise).item())
        if step == steps:
            break
        optimizer.zero_grad()
        loss = -bound(leaf, torch.randn(draws, width, generator=source, dtype=start.dtype))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Bounded(_gaussian(leaf.detach(), width), torch.tensor(said, dtype=torch.float64), torch.tensor(seen))
