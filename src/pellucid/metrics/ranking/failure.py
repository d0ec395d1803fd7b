"""The fair table of failure prediction: which score ranks a classifier's errors highest, with intervals.

D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
ICLR 2017. https://arxiv.org/abs/1610.02136
C. Corbière, N. Thome, A. Bar-Hen, M. Cord, P. Pérez, "Addressing Failure Prediction by Learning Model Confidence",
NeurIPS 2019, section 4. https://arxiv.org/abs/1910.04851
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.metrics.classification import Interval, proportion

from . import _counts
from ._counts import Counts, check_flags, check_named
from ._resampled import resampled


@dataclass(frozen=True)
class FailureRow:
    """How well one score predicts errors, each with its 95 % interval; NaN where the table tells why."""

    name: str
    aupr_error: Interval  # average precision, errors as positives; the error rate if the score tells nothing
    aupr_success: Interval  # average precision, right answers as positives
    auroc: Interval  # how often an error scores above a right answer
    fpr95: Interval  # share of the errors accepted where 95 % of the right answers are; lower is better
    aurc: Interval  # mean risk over all coverages; lower is better
    e_aurc: Interval  # the same beyond the best order; lower is better


@dataclass(frozen=True)
class FailureTable:
    """Scores compared on the same images and the same draws of them; never compare tables of different classifiers."""

    rows: tuple[FailureRow, ...]  # in the order given
    images: int
    errors: int
    error_rate: Interval  # Wilson's
    undefined: str  # why numbers are NaN; empty where none is


def failure_table(
    scores: Mapping[str, Tensor],
    correct: Tensor,
    *,
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> FailureTable:
    """Compare scores by how well they predict errors.

    Args:
        scores: name -> (N,), finite, higher = less to be trusted; all of the same images in the same order.
        correct: (N,), bool, whether the prediction is right; the same for all scores.
        draws: bootstrap draws of the images for the 95 % intervals, at least 1.
        generator: of the draws; none takes one of seed 0.

    Returns:
        FailureTable; without errors, or without right answers, only AURC and E-AURC are defined.

    Raises:
        ValueError: scores are not finite or not of the same images, or an argument is out of its range.
    """
    named = check_named("scores", scores)
    images = len(next(iter(named.values())))
    wrong = ~check_flags("correct", correct, images)
    check_count("draws", draws, 1)
    errors = int(wrong.sum())
    found = resampled(named, wrong, _measure, parts=[images], draws=draws, generator=generator)
    undefined = ""
    if errors in {0, images}:
        undefined = f"{errors} errors among {images} images: without both, no score can rank them"
    rows = tuple(FailureRow(name, *intervals) for name, intervals in found.items())
    return FailureTable(rows, images, errors, proportion(errors, images), undefined)


def failure_differences(
    scores: Mapping[str, Tensor],
    correct: Tensor,
    *,
    against: str,
    draws: int = 1000,
    generator: torch.Generator | None = None,
) -> tuple[FailureRow, ...]:
    """How much better, or worse, scores predict errors than one of them does, image by image the same draws.

    Args:
        scores: name -> (N,), finite, higher = less to be trusted; all of the same images in the same order.
        correct: (N,), bool, whether the prediction is right; the same for all scores.
        against: name of the score that the others are held against.
        draws: bootstrap draws of the images for the 95 % intervals, at least 1.
        generator: of the draws; none takes one of seed 0.

    Returns:
        A row of differences for each other score, in the order given: its number minus that of `against`. An interval
        that holds 0 does not tell the two apart.

    Raises:
        ValueError: as of `failure_table`, or `against` is none of the scores.
    """
    named = check_named("scores", scores)
    check_choice("against", against, named)
    images = len(named[against])
    wrong = ~check_flags("correct", correct, images)
    check_count("draws", draws, 1)
    found = resampled(named, wrong, _measure, parts=[images], draws=draws, generator=generator, against=against)
    return tuple(FailureRow(name, *intervals) for name, intervals in found.items() if name != against)


def _measure(found: Counts) -> Tensor:
    """(B, 6), in the order of the row."""
    aurc = _counts.aurc(found)
    columns = [
        _counts.average_precision_of_bad(found),
        _counts.average_precision_of_good(found),
        _counts.auroc(found),
        _counts.false_positive_rate(found, 0.95),
        aurc,
        (aurc - _counts.best_aurc(found)).clamp(min=0),
    ]
    return torch.stack(columns, dim=1)
