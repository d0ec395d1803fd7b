"""How often a classifier is right, and what it takes for what."""

import math
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_range

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Interval:
    """A share (then all in [0, 1]) or a mean, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PerClass:
    """Precision, recall and F1 of each class; 0 where a denominator is 0."""

    precision: Tensor  # (K,), float64, in [0, 1]
    recall: Tensor  # (K,), float64, in [0, 1]
    f1: Tensor  # (K,), float64, in [0, 1]
    support: Tensor  # (K,), int64, images of the class
    predicted: Tensor  # (K,), int64, images taken for the class

    @property
    def lacks_precision(self) -> Tensor:
        """(K,), bool: no image was taken for the class, so that its precision is 0/0, told as 0."""
        return self.predicted == 0

    @property
    def lacks_recall(self) -> Tensor:
        """(K,), bool: no image is of the class, so that its recall is 0/0, told as 0; F1 is 0/0 where both are."""
        return self.support == 0

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have an image."""
        return float(self.f1[self.support > 0].mean())

    @property
    def weighted_f1(self) -> float:
        """Mean F1 weighted by the images of each class."""
        return float((self.f1 * self.support).sum() / self.support.sum())


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 of all classes in one number each, in [0, 1]."""

    precision: float
    recall: float
    f1: float  # the mean of the classes' F1, not the F1 of the two before


def averages(score: PerClass, how: str = "macro") -> Averages:
    """Precision, recall and F1 over all K classes; what is 0/0 counts as 0 (see `PerClass.lacks_precision`).

    Args:
        score: of each class.
        how: macro (plain mean over the classes), weighted (by the images of each) or micro (over the images: all three
            are then the accuracy).

    Raises:
        ValueError: how is none of these, or there is no image.
    """
    check_choice("how", how, ("macro", "weighted", "micro"))
    count = int(score.support.sum())
    check_range("images", count, 1)
    if how == "micro":
        share = float((score.recall * score.support).round().sum() / count)
        return Averages(share, share, share)
    weights = score.support.double() / count if how == "weighted" else torch.full_like(score.f1, 1 / len(score.f1))
    return Averages(*(float((value * weights).sum()) for value in (score.precision, score.recall, score.f1)))


def proportion(hits: float, count: float) -> Interval:
    """A share and its Wilson score interval at 95 %.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927: the shares p
    for which |hits / count - p| <= z sqrt(p (1 - p) / count). Unlike the textbook interval it stays inside [0, 1].

    Args:
        hits: successes, 0 to count.
        count: trials, at least 1; no whole number where they are worth as many (see `worth`).
    """
    check_range("count", count, 1)
    check_range("hits", hits, 0, count)
    share, z2 = hits / count, Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low = 0.0 if hits == 0 else centre - half
    return Interval(share, low, 1.0 if hits == count else centre + half)


def worth(hits: Tensor, size: int) -> float:
    """How many independent answers those are worth that come in groups, such as all views of one picture.

    E. Korn, B. Graubard, "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated
    from Survey Data", Survey Methodology 24, 1998: what is divided by in the share's variance, found from how far the
    groups differ. Never less than the groups, nor more than the answers.

    Args:
        hits: (G,), successes of each group, at least one group.
        size: answers of each group.

    Returns:
        From G to G * size, for `proportion`; G where all are right, or none: nothing tells their spread.
    """
    shares = hits.double() / size
    mean = float(shares.mean())
    if len(shares) < 2 or mean in {0.0, 1.0}:
        return float(len(shares))
    spread = float(shares.var()) / len(shares)
    most = len(shares) * size
    return float(most) if spread == 0 else min(max(mean * (1 - mean) / spread, len(shares)), most)


def in_top_k(ranked: Tensor, targets: Tensor) -> Tensor:
    """Whether the target is among the ranked classes.

    Args:
        ranked: (N, k), int64, the k most probable classes of each image.
        targets: (N,), int64.

    Returns:
        (N,), bool.
    """
    return (ranked == targets[:, None]).any(dim=1)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log probability of the target, for each image.

    Args:
        logits: (N, K), float.
        targets: (N,), int64, in [0, K).

    Returns:
        (N,), in nats; higher is worse. Its mean is the negative log likelihood (NLL).
    """
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def confusion(targets: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """How many images of each class were taken for each class; dense, so for sets of few classes.

    Args:
        targets: (N,), int64, in [0, classes).
        predicted: (N,), int64, in [0, classes).
        classes: K.

    Returns:
        (K, K), int64; row: true class, column: predicted class.
    """
    return torch.bincount(targets * classes + predicted, minlength=classes**2).view(classes, classes)


def per_class(targets: Tensor, predicted: Tensor, classes: int) -> PerClass:
    """Precision, recall and F1 of each class, in memory that grows with the classes, not with their square.

    Args:
        targets: (N,), int64, in [0, classes).
        predicted: (N,), int64, in [0, classes).
        classes: K.

    Returns:
        PerClass, on the CPU.
    """
    hits, support, taken = (
        torch.bincount(each.cpu(), minlength=classes) for each in (targets[targets == predicted], targets, predicted)
    )
    precision = hits.double() / taken.clamp(min=1)
    recall = hits.double() / support.clamp(min=1)
    f1 = 2 * hits.double() / (support + taken).clamp(min=1)
    return PerClass(precision, recall, f1, support, taken)


def strongest_confusions(targets: Tensor, predicted: Tensor, count: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes.

    Args:
        targets: (N,), int64.
        predicted: (N,), int64.
        count: how many at most.

    Returns:
        (true class, predicted class, images), most images first, then by class.
    """
    wrong = targets != predicted
    pairs = Counter(zip(targets[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    ranked = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:count]
    return [(true, taken, images) for (true, taken), images in ranked]
