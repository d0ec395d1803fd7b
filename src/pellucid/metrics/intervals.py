"""How far a mean over images can be trusted.

B. Efron, "Bootstrap Methods: Another Look at the Jackknife", The Annals of Statistics 7, 1979.
https://doi.org/10.1214/aos/1176344552
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import torch
from torch import Tensor

from pellucid.checks import check_count

from .classification import Interval

MOST_AT_ONCE = 2**22
"""Values drawn at a time: what bounds the memory."""


def bootstrap(values: Tensor, *, draws: int = 1000, generator: torch.Generator | None = None) -> Interval:
    """A mean and its percentile bootstrap interval at 95 %.

    The mean is taken again and again over as many values drawn from the given ones with replacement; the interval holds
    the middle 95 % of these means. Of a single value it is that value, which says nothing of its spread.

    Args:
        values: (N,), one number for each image, N at least 1, all finite.
        draws: how many means are drawn, at least 1.
        generator: source of the draws; None takes one of seed 0.

    Raises:
        ValueError: values are no finite (N,) tensor, or draws is less than 1.
    """
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must have shape (N,), N at least 1, got {tuple(values.shape)}")
    if not values.isfinite().all():
        raise ValueError("values must be finite, got NaN or infinity")
    check_count("draws", draws, 1)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    values, count = values.detach().cpu().double(), len(values)  # not every device has float64
    means: list[Tensor] = []
    for number in _parts(draws, max(1, MOST_AT_ONCE // count)):
        drawn = torch.randint(count, (number, count), generator=source, device=source.device)
        means.append(values[drawn.cpu()].mean(dim=1))
    low, high = torch.quantile(torch.cat(means), values.new_tensor([0.025, 0.975])).tolist()
    return Interval(float(values.mean()), low, high)


def student(values: Sequence[float]) -> Interval:
    """The mean of a few repeats, and Student's t interval at 95 % of what it would be over ever more of them.

    W. Gosset ("Student"), "The Probable Error of a Mean", Biometrika 6, 1908. https://doi.org/10.2307/2331554

    Args:
        values: one number for each repeat, all finite; of a single one the interval is unbounded.

    Returns:
        mean -+ t s / sqrt(n), s with n - 1 below; -inf to inf where n is 1.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    if not len(values) or not all(math.isfinite(value) for value in values):
        raise ValueError(f"values must be finite, at least one, got {list(values)}")
    mean = fmean(values)
    if len(values) == 1:
        return Interval(mean, -math.inf, math.inf)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def _parts(count: int, most: int) -> list[int]:
    """A count in parts of at most so many."""
    return [min(most, count - start) for start in range(0, count, most)]
