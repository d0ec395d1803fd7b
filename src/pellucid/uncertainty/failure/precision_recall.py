"""Precision and recall of errors: how much of what a score warns of is wrong, and how much of the wrong it finds.

J. Davis, M. Goadrich, "The Relationship Between Precision-Recall and ROC Curves", ICML 2006.
https://doi.org/10.1145/1143844.1143874
"""

import torch
from torch import Tensor

from pellucid.uncertainty.ood import curves
from pellucid.uncertainty.ood.curves import PrecisionRecall


def precision_recall(scores: Tensor, correct: Tensor) -> PrecisionRecall:
    """Precision over recall of a score, errors as positives; equal scores enter together.

    Args:
        scores: (N,), finite; higher = less to be trusted.
        correct: (N,), bool, whether the answer is right.

    Returns:
        PrecisionRecall, from the highest score on; the area below its steps is the AUPR of errors.

    Raises:
        ValueError: scores are not finite, flags are not one for each, or there is no error, or nothing else.
    """
    if correct.dtype != torch.bool or correct.shape != scores.shape or scores.ndim != 1:
        raise ValueError(
            f"correct must be bool, one for each of the scores {tuple(scores.shape)}, got {correct.dtype} "
            f"{tuple(correct.shape)}"
        )
    errors = int((~correct).sum())
    if errors in {0, len(correct)}:
        raise ValueError(f"correct must hold errors and right answers, got {errors} errors among {len(correct)}")
    return curves.precision_recall(scores[correct], scores[~correct])
