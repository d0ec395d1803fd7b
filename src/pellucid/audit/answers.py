"""How much it can answer and be as often right as is asked: a threshold from one half of the images, on the other."""

import math
from dataclasses import dataclass

import torch

from pellucid.metrics import Interval, proportion
from pellucid.metrics.ranking import RiskCoverage, Threshold, risk_coverage, threshold_for_accuracy

from .halves import Halves

SURE = 0.95
"""How sure the guaranteed threshold is."""


@dataclass(frozen=True)
class Answers:
    """What answering only above a confidence brings, on images on which the threshold was not chosen."""

    asked: float  # share of its answers that is to be right
    confidence: float  # probability of the predicted class from which it answers; 0: always, inf: never
    fitted: int  # images
    judged: int  # other images
    coverage: Interval  # share of these that is answered
    accuracy: Interval | None  # share of these answers that is right; None where nothing is answered
    guaranteed: Threshold  # of all the images: what holds with confidence SURE for new ones, of 1 - the probability
    curve: RiskCoverage  # of the judged half

    @property
    def is_reached(self) -> bool:
        """Whether any threshold gave what was asked for."""
        return self.confidence < math.inf

    @property
    def falls_short(self) -> bool:
        """Whether its answers are clearly less often right than asked, on the judged half."""
        return self.accuracy is not None and self.accuracy.high < self.asked


def find_answers(halves: Halves, asked: float) -> Answers:
    """The threshold on the stated confidence, and what it brings."""
    one, other = halves.fitted, halves.judged
    chosen = threshold_for_accuracy(one.doubt, one.correct, accuracy=asked)
    if not chosen.answered:
        limit, confidence = -math.inf, math.inf
    elif chosen.answered == len(one):
        limit, confidence = math.inf, 0.0
    else:
        limit, confidence = chosen.value, 1 - chosen.value
    answered = other.doubt <= limit
    count = int(answered.sum())
    accuracy = proportion(int((other.correct & answered).sum()), count) if count else None
    doubt, correct = (torch.cat(both) for both in ((one.doubt, other.doubt), (one.correct, other.correct)))
    return Answers(
        asked,
        confidence,
        len(one),
        len(other),
        proportion(count, len(other)),
        accuracy,
        threshold_for_accuracy(doubt, correct, accuracy=asked, confidence=SURE),
        risk_coverage(other.doubt, other.correct),
    )
