"""Precision and recall: how much of what a score warns of is positive, and how much of the positive it finds.

J. Davis, M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.
https://doi.org/10.1145/1143844.1143874
"""

from dataclasses import dataclass

from torch import Tensor

from ._counts import check_flags, check_scores, counts, order


@dataclass(frozen=True)
class PrecisionRecall:
    """What taking all images down to a score brings; one point for each different score, from the highest on."""

    recall: Tensor  # (G,), float64, share of the positives that are taken, rising to 1
    precision: Tensor  # (G,), float64, share of those taken that are positive; the last is that of all


def precision_recall(scores: Tensor, positives: Tensor) -> PrecisionRecall:
    """Precision over recall, equal scores entering together; the area below its steps is the average precision.

    Args:
        scores: (N,), finite; higher for positives.
        positives: (N,), bool: errors, say, or images from elsewhere.

    Returns:
        PrecisionRecall, on the CPU.

    Raises:
        ValueError: scores are not finite, flags are not one for each, or all are the same.
    """
    scores = check_scores("scores", scores)
    positives = check_flags("positives", positives, len(scores))
    sought = int(positives.sum())
    if sought in {0, len(scores)}:
        raise ValueError(f"positives must hold some, and others, got {sought} among {len(scores)}")
    found = counts(order(scores, positives))
    hits, others = (each.flip(1)[0].cumsum(dim=0) for each in (found.bad, found.good))
    return PrecisionRecall(hits / sought, hits / (hits + others))
