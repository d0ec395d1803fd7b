"""A ranking as counts, group by group of equal scores: what every number here is computed from, for many draws at once.

Rows are draws (one for the images as they are), columns groups of equal scores from the lowest score to the highest.
"bad" is what a score should be high for: an error, or an image from elsewhere; "good" is all else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Order:
    """Images sorted by their score, sorted once for all draws."""

    places: Tensor  # (N,), int64, image numbers, lowest score first
    ends: Tensor  # (G,), int64, last place of each group of equal scores
    bad: Tensor  # (N,), float64, 1 where the image in that place is bad
    scores: Tensor  # (G,), the scores, rising


@dataclass(frozen=True)
class Counts:
    """Good and bad images of each group of equal scores, lowest scores first."""

    good: Tensor  # (B, G), float64, whole numbers
    bad: Tensor  # (B, G), float64, whole numbers


def order(scores: Tensor, bad: Tensor) -> Order:
    """Sort images by score; scores and bad are (N,), checked."""
    found = scores.sort(stable=True)
    is_last = torch.ones(len(scores), dtype=torch.bool)
    is_last[:-1] = found.values[1:] != found.values[:-1]
    ends = is_last.nonzero()[:, 0]
    return Order(found.indices, ends, bad[found.indices].double(), found.values[ends])


def counts(ranked: Order, weights: Tensor | None = None) -> Counts:
    """Count groups, each image as often as its weight says: weights (B, N), float64, whole; None counts each once."""
    placed = torch.ones(1, len(ranked.places), dtype=torch.float64) if weights is None else weights[:, ranked.places]
    bad = placed * ranked.bad
    if len(ranked.ends) == len(ranked.places):  # no two scores are equal
        return Counts(placed - bad, bad)
    return Counts(_grouped(placed - bad, ranked.ends), _grouped(bad, ranked.ends))


def average_precision_of_bad(found: Counts) -> Tensor:
    """(B,), bad as positives, from the highest score down."""
    return _average_precision(found.bad.flip(1), found.good.flip(1))


def average_precision_of_good(found: Counts) -> Tensor:
    """(B,), good as positives, from the lowest score up."""
    return _average_precision(found.good, found.bad)


def auroc(found: Counts) -> Tensor:
    """(B,), share of pairs of a bad and a good image in which the bad one scores higher; equal scores count half."""
    below = found.good.cumsum(1) - found.good / 2
    return (found.bad * below).sum(1) / (_total(found.bad) * _total(found.good))


def false_positive_rate(found: Counts, recall: float) -> Tensor:
    """(B,), share of the bad that are accepted where the least share `recall` of the good is."""
    good, bad = found.good.cumsum(1), found.bad.cumsum(1)
    needed = recall * _total(found.good) - 1e-6  # of whole numbers: 0.95 * 60 is not quite 57
    first = (good >= needed[:, None]).to(torch.uint8).argmax(1)
    return bad.gather(1, first[:, None])[:, 0] / _total(found.bad) + 0 * needed  # NaN where there is no good one


def detection_error(found: Counts) -> Tensor:
    """(B,), the smallest mean, over thresholds, of the share of good rejected and the share of bad accepted."""
    rejected = 1 - found.good.cumsum(1) / _total(found.good)[:, None]
    accepted = found.bad.cumsum(1) / _total(found.bad)[:, None]
    return ((rejected + accepted) / 2).amin(1)  # at most 0.5: what accepting all costs


def aurc(found: Counts) -> Tensor:
    """(B,), mean share of bad among the n images of the lowest scores, over n from 1 to N.

    Within a group of equal scores it is the mean over all orders of the group: with e bad among m, after e0 among n0,
    the sum over j = 1..m of (e0 + j e/m) / (n0 + j) = e + (e0 - n0 e/m) (H(n0 + m) - H(n0)), H the harmonic numbers.
    """
    images = found.good + found.bad
    total = images.cumsum(1)
    before, wrong_before = total - images, found.bad.cumsum(1) - found.bad
    harmonic = torch.zeros(int(total[:, -1].max()) + 1, dtype=torch.float64)
    harmonic[1:] = torch.arange(1, len(harmonic), dtype=torch.float64).reciprocal().cumsum(0)
    rate = found.bad / images.clamp(min=1)
    spread = harmonic[total.long()].diff(dim=1, prepend=total.new_zeros(len(total), 1))  # H(n0 + m) - H(n0)
    return (found.bad + (wrong_before - before * rate) * spread).sum(1) / total[:, -1]


def best_aurc(found: Counts) -> Tensor:
    """(B,), the least AURC that any order of as many good and bad images has: all good ones first."""
    good, bad = (each.sum(1, keepdim=True) for each in (found.good, found.bad))
    return aurc(Counts(torch.cat([good, 0 * good], dim=1), torch.cat([0 * bad, bad], dim=1)))


def check_scores(name: str, scores: Tensor) -> Tensor:
    """The scores (N,), on the CPU; refuses what is no finite vector."""
    if not isinstance(scores, Tensor) or scores.ndim != 1 or not len(scores):
        given = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{name} must have shape (N,), N at least 1, got {given}")
    if scores.is_floating_point() and not scores.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity in {int((~scores.isfinite()).sum())} places")
    return scores.detach().cpu()


def check_flags(name: str, flags: Tensor, count: int) -> Tensor:
    """The flags (N,), bool, on the CPU; refuses what is no bool vector of that length."""
    if not isinstance(flags, Tensor) or flags.dtype != torch.bool:
        given = flags.dtype if isinstance(flags, Tensor) else type(flags).__name__
        raise ValueError(f"{name} must be a bool tensor (N,), got {given}")
    if flags.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), one for each score, got {tuple(flags.shape)}")
    return flags.detach().cpu()


def check_named(name: str, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores by name, each (N,) of one N, on the CPU."""
    if not isinstance(scores, Mapping) or not scores:
        raise ValueError(f"{name} must map at least one name to scores (N,), got {scores!r:.60}")
    checked = {key: check_scores(f"{name}[{key!r}]", each) for key, each in scores.items()}
    first, *others = checked
    for other in others:
        if len(checked[other]) != len(checked[first]):
            told = f"{len(checked[first])} ({first!r}) and {len(checked[other])} ({other!r})"
            raise ValueError(f"{name} must all be of the same images, got {told}")
    return checked


def _average_precision(positive: Tensor, other: Tensor) -> Tensor:
    """(B,), sum over groups, in the order they enter, of their share of the positives times the precision so far."""
    hits = positive.cumsum(1)
    precision = hits / (hits + other.cumsum(1)).clamp(min=1)
    return (positive * precision).sum(1) / _total(positive) + 0 * _total(other)  # where all are positive, no ranking


def _grouped(values: Tensor, ends: Tensor) -> Tensor:
    """Sums (B, G) of the values (B, N) of each group."""
    return values.cumsum(1)[:, ends].diff(dim=1, prepend=values.new_zeros(len(values), 1))


def _total(values: Tensor) -> Tensor:
    """Row sums (B,); NaN instead of 0, so that what is divided by it is undefined."""
    total = values.sum(1)
    return torch.where(total > 0, total, torch.nan)
