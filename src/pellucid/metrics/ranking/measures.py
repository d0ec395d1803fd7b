"""How well a score separates positives from the rest, in one number; equal scores enter together.

J. Davis, M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.
https://doi.org/10.1145/1143844.1143874
S. Liang, Y. Li, R. Srikant, "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks",
ICLR 2018, section 4.2 (false positive rate at 95 %, detection error). https://arxiv.org/abs/1706.02690
"""

from collections.abc import Callable

from torch import Tensor

from pellucid.checks import check_range

from . import _counts
from ._counts import Counts, check_flags, check_scores, counts, order


def average_precision(scores: Tensor, positives: Tensor) -> float:
    """Area under the precision-recall curve: sum of (R_k - R_k-1) P_k from the highest score down, no interpolation.

    Args:
        scores: (N,), finite; higher for positives.
        positives: (N,), bool.

    Returns:
        In [0, 1], the share of positives if the scores tell nothing; NaN without positives, or without others.
    """
    return _measured(scores, positives, _counts.average_precision_of_bad)


def auroc(scores: Tensor, positives: Tensor) -> float:
    """Area under the ROC curve: how often a positive scores above another, equal scores counting half.

    Args:
        scores: (N,), finite; higher for positives.
        positives: (N,), bool.

    Returns:
        In [0, 1], 0.5 if the scores tell nothing; NaN without positives, or without others.
    """
    return _measured(scores, positives, _counts.auroc)


def false_positive_rate(scores: Tensor, positives: Tensor, *, recall: float = 0.95) -> float:
    """Share of the others that score as high as the least share `recall` of the positives.

    Args:
        scores: (N,), finite; higher for positives.
        positives: (N,), bool.
        recall: share of the positives to be found, in [0, 1]; FPR95 is that of 0.95.

    Returns:
        In [0, 1], lower is better; NaN without positives, or without others.
    """
    check_range("recall", recall, 0, 1)
    scores = check_scores("scores", scores)
    positives = check_flags("positives", positives, len(scores))
    found = counts(order(scores, positives))
    swapped = Counts(found.bad.flip(1), found.good.flip(1))  # the counts accept what scores low
    return float(_counts.false_positive_rate(swapped, recall))


def detection_error(scores: Tensor, positives: Tensor) -> float:
    """Smallest mean of the two shares of mistakes, positives missed and others taken, over all thresholds.

    Args:
        scores: (N,), finite; higher for positives.
        positives: (N,), bool.

    Returns:
        In [0, 0.5], lower is better; NaN without positives, or without others.
    """
    return _measured(scores, positives, _counts.detection_error)


def _measured(scores: Tensor, positives: Tensor, measure: Callable[[Counts], Tensor]) -> float:
    scores = check_scores("scores", scores)
    return float(measure(counts(order(scores, check_flags("positives", positives, len(scores))))))
