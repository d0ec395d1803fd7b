"""The threshold of a score under which a classifier is as often right as is asked for.

Y. Geifman, R. El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017, algorithm 1 (the guarantee).
https://arxiv.org/abs/1705.08500
C. Clopper, E. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
Biometrika 26, 1934. https://doi.org/10.2307/2331986
"""

import math
from dataclasses import dataclass

from torch import Tensor

from .risk import RiskCoverage, risk_coverage


@dataclass(frozen=True)
class Threshold:
    """Answer the images whose score is at most `value`; none where no threshold reaches what was asked for."""

    value: float  # of the score; -inf: answer nothing
    coverage: float  # share of the images answered, on those it was chosen on; in [0, 1]
    accuracy: float  # share of these that is right; NaN where nothing is answered
    answered: int  # images
    guaranteed: float | None  # accuracy on new images of the same kind that holds with `confidence`; None: not bounded
    confidence: float | None  # None: the threshold is empirical, and new images may do worse


def threshold_for_accuracy(
    scores: Tensor, correct: Tensor, *, accuracy: float = 0.95, confidence: float | None = None
) -> Threshold:
    """The threshold that answers most images while those answered are as often right as asked for.

    Without `confidence` it is read off the risk-coverage curve of these images, which flatters it a little. With it,
    the accuracy holds on new images drawn as these were, in all but a share 1 - confidence of such choices: a bisection
    over thresholds, each tested by the exact binomial bound at a level shared out among the steps.

    Args:
        scores: (N,), finite, higher = less to be trusted; not of images that the score was fitted on.
        correct: (N,), bool, whether the prediction is right.
        accuracy: asked for among the images answered, in (0, 1).
        confidence: with which the accuracy is guaranteed, in (0, 1), such as 0.95; none: empirical.

    Raises:
        ValueError: scores or correct are not as above, or a share is not between 0 and 1.
    """
    for name, share in (("accuracy", accuracy), ("confidence", confidence)):
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} must be between 0 and 1, such as 0.95, got {share}")
    curve = risk_coverage(scores, correct)
    if confidence is None:
        met = (curve.wrong <= (1 - accuracy) * curve.answered.double() + 1e-6).nonzero()[
            :, 0
        ]  # 0.2 * 10 is not quite 2
        return _threshold(curve, int(met[-1]) if len(met) else None, None, None)
    place, bound = _bisected(curve, 1 - accuracy, 1 - confidence)
    return _threshold(curve, place, bound, confidence)


def _bisected(curve: RiskCoverage, risk: float, failing: float) -> tuple[int | None, float | None]:
    """The last place of the curve tried whose accuracy is bounded as asked, and that bound; none: none was."""
    low, high, found = 0, len(curve.thresholds) - 1, None
    bound = None
    steps = math.ceil(math.log2(len(curve.thresholds) + 1))
    while low <= high:
        middle = (low + high + 1) // 2
        accurate = _lower_bound(int(curve.wrong[middle]), int(curve.answered[middle]), failing / steps)
        if accurate >= 1 - risk:
            found, bound, low = middle, accurate, middle + 1
        else:
            high = middle - 1
    return found, bound


def _lower_bound(wrong: int, count: int, failing: float) -> float:
    """Clopper and Pearson's: the least accuracy that would leave so few errors in a share `failing` of the draws."""
    from scipy.stats import beta

    return 0.0 if wrong == count else 1 - float(beta.ppf(1 - failing, wrong + 1, count - wrong))


def _threshold(curve: RiskCoverage, place: int | None, guaranteed: float | None, confidence: float | None) -> Threshold:
    if place is None:
        return Threshold(-math.inf, 0.0, math.nan, 0, None, confidence)
    value, coverage = float(curve.thresholds[place]), float(curve.coverage[place])
    return Threshold(value, coverage, 1 - float(curve.risk[place]), int(curve.answered[place]), guaranteed, confidence)
