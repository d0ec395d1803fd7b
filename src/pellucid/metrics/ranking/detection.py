"""The fair table of out-of-distribution detection: which score rises on images from elsewhere, with intervals.

D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
ICLR 2017. https://arxiv.org/abs/1610.02136
S. Liang, Y. Li, R. Srikant, "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
ICLR 2018, section 4.2. https://arxiv.org/abs/1706.02690
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count, near
from pellucid.metrics.classification import Interval

from . import _counts
from ._counts import Counts, check_named
from ._resampled import resampled


@dataclass(frozen=True)
class DetectionRow:
    """How well one score tells images from elsewhere, each with its 95 % interval."""

    name: str
    aupr_out: Interval  # average precision, images from elsewhere as positives; their share if it tells nothing
    aupr_in: Interval  # average precision, the model's own images as positives
    auroc: Interval  # how often an image from elsewhere scores above one of the model's own
    fpr95: Interval  # share of the images from elsewhere that pass where 95 % of the own do; lower is better
    detection_error: Interval  # smallest mean of own rejected and others passed, in [0, 0.5]; lower is better


@dataclass(frozen=True)
class DetectionTable:
    """Scores compared on the same images and the same draws; both AUPR depend on the ratio of the two sets."""

    rows: tuple[DetectionRow, ...]  # in the order given
    inside: int  # the model's own images
    outside: int  # images from elsewhere


def detection_table(
    scores_in: Mapping[str, Tensor],
    scores_out: Mapping[str, Tensor],
    *,
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> DetectionTable:
    """Compare scores by how well they tell images from elsewhere.

    Args:
        scores_in: name -> (N,), finite, of the model's own images; higher = less to be trusted.
        scores_out: name -> (M,), finite, the same scores of images from elsewhere.
        draws: bootstrap draws, of each set by itself, for the 95 % intervals, at least 1.
        generator: of the draws; none takes one of seed 0.

    Raises:
        ValueError: the names differ, a set is empty, scores are not finite, or draws is less than 1.
    """
    own, other = check_named("scores_in", scores_in), check_named("scores_out", scores_out)
    for name in [*own, *other]:
        if name not in own or name not in other:
            lacking, names = ("scores_in", own) if name not in own else ("scores_out", other)
            raise ValueError(f"{lacking} must hold {name!r} as well, got {', '.join(names)}{near(name, names)}")
    check_count("draws", draws, 1)
    sizes = [len(next(iter(each.values()))) for each in (own, other)]
    joined = {name: torch.cat([own[name].double(), other[name].double()]) for name in own}
    outside = torch.arange(sum(sizes)) >= sizes[0]
    found = resampled(joined, outside, _measure, parts=sizes, draws=draws, generator=generator)
    return DetectionTable(tuple(DetectionRow(name, *intervals) for name, intervals in found.items()), *sizes)


def _measure(found: Counts) -> Tensor:
    """(B, 5), in the order of the row."""
    columns = [
        _counts.average_precision_of_bad(found),
        _counts.average_precision_of_good(found),
        _counts.auroc(found),
        _counts.false_positive_rate(found, 0.95),
        _counts.detection_error(found),
    ]
    return torch.stack(columns, dim=1)
