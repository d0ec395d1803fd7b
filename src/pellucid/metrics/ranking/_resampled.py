"""Intervals of numbers of a ranking: images drawn again with replacement, the same draws for every score compared.

B. Efron, "Bootstrap Methods: Another Look at the Jackknife", The Annals of Statistics 7, 1979.
https://doi.org/10.1214/aos/1176344552
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pellucid.metrics.classification import Interval

from ._counts import Counts, counts, order

MOST_AT_ONCE = 2**17
"""Images drawn at a time: what bounds the memory; few enough that the allocator hands out the same pages again."""


def resampled(
    scores: Mapping[str, Tensor],
    bad: Tensor,
    measure: Callable[[Counts], Tensor],
    *,
    parts: Sequence[int],
    draws: int,
    generator: torch.Generator | None,
    against: str | None = None,
) -> dict[str, list[Interval]]:
    """Each score's numbers and their percentile bootstrap intervals at 95 %.

    A draw in which a number is undefined (it holds no bad image, say) is left out of its interval, which always holds
    the number itself.

    Args:
        scores: name -> (N,), checked, on the CPU.
        bad: (N,), bool.
        measure: counts of B draws -> (B, M), M numbers of each.
        parts: sizes of the sets that the images come from, one after the other; each is drawn from by itself.
        draws: how many, at least 1.
        generator: of the draws; none takes one of seed 0.
        against: a score whose numbers, in the same draw, are subtracted from those of each; none leaves them.

    Returns:
        name -> M intervals; NaN where the number is undefined.
    """
    ranked = {name: order(each, bad) for name, each in scores.items()}
    drawn: dict[str, list[Tensor]] = {name: [] for name in scores}
    for weights in _weights(parts, draws, generator):
        for name, each in ranked.items():
            drawn[name].append(measure(counts(each, weights)))
    values = {name: measure(counts(each))[0] for name, each in ranked.items()}  # (M,)
    columns = {name: torch.cat(parts) for name, parts in drawn.items()}  # (draws, M)
    if against is not None:
        values = {name: value - values[against] for name, value in values.items()}
        columns = {name: column - columns[against] for name, column in columns.items()}
    return {
        name: [_interval(v, c) for v, c in zip(values[name].tolist(), columns[name].unbind(dim=1), strict=True)]
        for name in ranked
    }


def _weights(parts: Sequence[int], draws: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """How often each image is drawn, (b, N), float64, for a chunk of the draws at a time."""
    source = torch.Generator().manual_seed(0) if generator is None else generator
    most = max(1, MOST_AT_ONCE // sum(parts))
    for start in range(0, draws, most):
        number = min(most, draws - start)
        yield torch.stack([_one_draw(parts, source) for _ in range(number)])


def _one_draw(parts: Sequence[int], source: torch.Generator) -> Tensor:
    """How often each image is drawn, (N,), float64."""
    taken = [torch.randint(count, (count,), generator=source, device=source.device).cpu() for count in parts]
    return torch.cat([torch.bincount(each, minlength=len(each)) for each in taken]).double()


def _interval(value: float, drawn: Tensor) -> Interval:
    if math.isnan(value):
        return Interval(math.nan, math.nan, math.nan)
    low, high = drawn.nanquantile(drawn.new_tensor([0.025, 0.975])).tolist()
    return Interval(value, min(low, value), max(high, value))
