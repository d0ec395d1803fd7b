"""Mixtures of Gaussians with diagonal covariances, by expectation and maximisation, as products of matrices.

A. Dempster, N. Laird, D. Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", Journal of the Royal
Statistical Society B 39, 1977. https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._means import cluster
from ._rows import blocks, nearest

FLOOR = 1e-3
"""Least variance of a component, as a share of that of all rows: one on a few equal rows would have none."""

TOLERANCE = 1e-3
"""Steps end where the mean log likelihood of a row gains less, as scikit-learn has it."""


@dataclass(frozen=True)
class Mixture:
    """K Gaussians."""

    shares: Tensor  # (K,), of sum 1
    means: Tensor  # (K, d)
    deviations: Tensor  # (K, d), standard ones

    def near(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The share of each component in each row, (M, K), of sum 1; and the log likelihood of each row, (M, 1)."""
        sharp = self.deviations.square().reciprocal()
        told = self.means * sharp  # (K, d)
        constant = self.deviations.log().sum(dim=1) + 0.5 * (self.means * told).sum(dim=1)
        constant = self.shares.log() - constant - 0.5 * self.means.shape[1] * math.log(math.tau)
        likely = torch.addmm(constant, rows, told.T).addmm_(rows.square(), sharp.T, alpha=-0.5)
        whole = likely.logsumexp(dim=1, keepdim=True)
        return likely.sub_(whole).exp_(), whole


def moments(near: Tensor, rows: Tensor) -> Tensor:
    """Sums over rows (..., P, d), by shares (..., P, K), of the rows, their squares and 1: (..., K, 2d + 1)."""
    return near.mT @ torch.cat([rows, rows.square(), rows.new_ones(*rows.shape[:-1], 1)], dim=-1)


def learned(rows: Tensor, count: int, iterations: int, seed: int) -> Mixture:
    """The mixture of rows (M, d), float32, begun from a k-means; so many steps at most.

    Raises:
        ValueError: there are fewer different rows than components.
    """
    centres = cluster(rows, count, 1, 10, seed, called="components")
    least = FLOOR * rows.var(dim=0, correction=0).clamp(min=1e-12)
    hard = torch.nn.functional.one_hot(nearest(rows, centres)[0], count)
    sums = sum(moments(hard[start : start + len(some)].to(some), some).double() for start, some in blocks(rows, count))
    known, before = _mixture(torch.as_tensor(sums), least), -math.inf
    for _ in range(iterations):
        sums, likely = torch.zeros_like(torch.as_tensor(sums)), 0.0
        for _, some in blocks(rows, count):
            near, each = known.near(some)
            sums += moments(near, some).double()
            likely += float(each.double().sum()) / len(rows)
        known = _mixture(sums, least)
        if likely - before < TOLERANCE:
            break
        before = likely
    return known


def _mixture(sums: Tensor, least: Tensor) -> Mixture:
    """The likeliest mixture of moments (K, 2d + 1), float64, no variance less than least (d,)."""
    first, second, total = torch.split(sums, [len(least), len(least), 1], dim=1)
    some = total.clamp(min=1e-9)
    means = first / some
    deviations = (second / some - means.square()).maximum(least.double()).sqrt()
    return Mixture((some[:, 0] / some.sum()).float(), means.float(), deviations.float())
