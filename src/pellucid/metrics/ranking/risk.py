"""Risk and coverage: how often a classifier that answers only what it trusts is wrong, by how much it answers.

Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
https://arxiv.org/abs/1705.08500
Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019
(AURC and E-AURC). https://arxiv.org/abs/1805.08206
"""

from dataclasses import dataclass

from torch import Tensor

from . import _counts
from ._counts import Counts, Order, check_flags, check_scores, counts, order


@dataclass(frozen=True)
class RiskCoverage:
    """What answering all images of a score up to a threshold brings; one point for each different score, rising."""

    thresholds: Tensor  # (G,), the scores; an image is answered if its score is at most this
    answered: Tensor  # (G,), int64, images answered
    wrong: Tensor  # (G,), int64, errors among these
    coverage: Tensor  # (G,), float64, share of the images answered, in (0, 1]
    risk: Tensor  # (G,), float64, share of these that is wrong


def risk_coverage(scores: Tensor, correct: Tensor) -> RiskCoverage:
    """The risk-coverage curve.

    Args:
        scores: (N,), finite, higher = less to be trusted.
        correct: (N,), bool, whether the prediction is right.

    Returns:
        RiskCoverage, on the CPU.
    """
    ranked, found = _counted(scores, correct)
    answered, wrong = (found.good + found.bad)[0].cumsum(0), found.bad[0].cumsum(0)
    return RiskCoverage(ranked.scores, answered.long(), wrong.long(), answered / answered[-1], wrong / answered)


def aurc(scores: Tensor, correct: Tensor) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages 1/N, 2/N, .., 1.

    Within equal scores it is the mean over all their orders, so that a score that tells nothing has the error rate.

    Args:
        scores: (N,), finite, higher = less to be trusted.
        correct: (N,), bool, whether the prediction is right.

    Returns:
        In [0, 1], lower is better; depends on how often the classifier is right.
    """
    return float(_counts.aurc(_counted(scores, correct)[1]))


def excess_aurc(scores: Tensor, correct: Tensor) -> float:
    """E-AURC: AURC beyond that of the best order, all right answers first, which is counted, not approximated.

    Args:
        scores: (N,), finite, higher = less to be trusted.
        correct: (N,), bool, whether the prediction is right.

    Returns:
        At least 0, lower is better.
    """
    found = _counted(scores, correct)[1]
    return float(_counts.aurc(found) - _counts.best_aurc(found))


def _counted(scores: Tensor, correct: Tensor) -> tuple[Order, Counts]:
    scores = check_scores("scores", scores)
    ranked = order(scores, ~check_flags("correct", correct, len(scores)))
    return ranked, counts(ranked)
