"""A Gaussian of all weights of a network, its covariance a diagonal and a few columns, gathered from iterates."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MOST_BYTES = 4 * 2**30
"""That what is fitted may take."""


@dataclass(frozen=True)
class LowRank:
    """N(mean, scale (diag(variance) + D^T D / (R - 1)) / 2), D the deviations; without any N(mean, scale diag(...))."""

    mean: Tensor  # (P,), float
    variance: Tensor  # (P,), at least 0
    deviations: Tensor  # (R, P), R 0 or at least 2

    def drawn(self, scale: float, generator: torch.Generator) -> Tensor:
        """One draw, (P,): the low-rank part has its numbers first, then every weight its own."""
        rank = len(self.deviations)
        few, many = (torch.randn(n, generator=generator, device=generator.device) for n in (rank, len(self.mean)))
        moved = self.variance.sqrt() * many.to(self.mean)
        if rank:
            moved = (moved + few.to(self.mean) @ self.deviations / math.sqrt(rank - 1)) / math.sqrt(2)
        return self.mean + math.sqrt(scale) * moved


class Moments:
    """Mean, variance and last deviations of iterates, taken in one by one.

    B. Welford's sums, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 1962:
    the mean of squares less the square of the mean, without their difference, which loses all digits of weights near 1.

    Args:
        first: (P,), any iterate, for its size, device and dtype; it is not taken in.
        rank: R, deviations kept, the latest; at least 0.
    """

    def __init__(self, first: Tensor, rank: int) -> None:
        self.mean, self.squares = torch.zeros_like(first), torch.zeros_like(first)
        self.deviations = first.new_zeros(rank, len(first))
        self.count = 0

    def take(self, weights: Tensor) -> None:
        """Take an iterate (P,) in; its deviation is the one from the mean of all so far, itself among them."""
        apart = weights - self.mean
        self.count += 1
        self.mean += apart / self.count
        left = weights - self.mean
        self.squares.addcmul_(apart, left)
        if len(self.deviations):
            self.deviations[(self.count - 1) % len(self.deviations)] = left

    def gathered(self) -> LowRank:
        """The Gaussian; the deviations, whose order does not matter, are not copied, for they may be large."""
        variance = (self.squares / self.count).clamp(min=0)  # rounding may leave a little less
        return LowRank(self.mean, variance, self.deviations[: self.count])


def weights_of(network: nn.Module) -> Tensor:
    """Every parameter in one row, (P,), float32 at least; those that are shared once."""
    parts = [parameter.detach().flatten() for parameter in network.parameters()]
    joined = torch.cat(parts)
    return joined.float() if joined.dtype in {torch.float16, torch.bfloat16} else joined


@torch.no_grad()
def put_weights_into(network: nn.Module, weights: Tensor) -> None:
    """Give a network the parameters that stand in a row (P,)."""
    for parameter, part in zip(network.parameters(), _parted(network, weights), strict=True):
        parameter.copy_(part.view_as(parameter))


def _parted(network: nn.Module, weights: Tensor) -> Iterator[Tensor]:
    return iter(torch.split(weights, [parameter.numel() for parameter in network.parameters()]))


def check_room(weights: Tensor, rank: int) -> None:
    """Refuse more deviations than fit into memory, before the descent begins."""
    each = weights.numel() * weights.element_size()
    needed = (rank + 2) * each
    if needed > MOST_BYTES:
        most = MOST_BYTES // each - 2
        remedy = "even rank 0 is too much" if most < 0 else f"give a rank of at most {most if most > 1 else 0}"
        raise ValueError(
            f"rank {rank} would keep {rank + 2} numbers for each of the {weights.numel():,} weights, "
            f"{needed / 2**30:,.1f} GiB of memory, above {MOST_BYTES / 2**30:g} GiB: {remedy}"
        )
