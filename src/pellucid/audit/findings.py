"""Everything an audit found, before it is told or drawn."""

from dataclasses import dataclass

from torch import Tensor

from pellucid.data import ClassMatch, Unreadable
from pellucid.metrics import Interval, PerClass, Reliability, confusion, expected_calibration_error
from pellucid.records import Record

from .attacked import Attacked
from .certainty import Certainty
from .elsewhere import Elsewhere
from .explained import Shown
from .learned import Learned
from .predictions import Predictions
from .shifted import Shifted
from .trust import Trust


@dataclass(frozen=True)
class Findings:
    """The numbers and pictures."""

    classes: tuple[str, ...]  # the model's K class names
    predictions: Predictions  # a row for each image
    top1: Interval
    top5: Interval  # of min(5, K) classes
    per_class: PerClass
    bins: Reliability
    errors: tuple[Unreadable, ...]  # files that were left out
    matches: tuple[ClassMatch, ...]  # which class of the model each class of the set is, and how that was found
    shown: Shown
    trust: Trust | None  # which of the drawn maps to believe; None where none was asked for
    attacked: Attacked | None  # how small a change breaks the model; None where it was not asked for or not possible
    unattacked: str  # why it was not possible; "" where it was, or was not asked for
    certainty: Certainty | None  # how sure it is, fitted on one half and judged on the other; None where it cannot be
    uncertain: str  # why it cannot be; "" where it can
    shifted: Shifted | None  # what corruptions do; None where it was not asked for or there are too few images
    elsewhere: Elsewhere | None  # whether it tells pictures from elsewhere; None where none were given
    learned: Learned | None  # which training pictures its mistakes lie near; None where none were given
    record: Record

    @property
    def confusion(self) -> Tensor:
        """(K, K), int64, rows true, columns predicted; made anew at each call, and large for many classes."""
        return confusion(self.predictions.targets, self.predictions.predicted, len(self.classes))

    @property
    def loss(self) -> float:
        """Mean negative log probability of the true class, in nats."""
        return float(self.predictions.loss.double().mean())

    @property
    def brier(self) -> float:
        """Mean squared distance between probabilities and truth, in [0, 2]."""
        return float(self.predictions.brier.double().mean())

    @property
    def ece(self) -> float:
        """Expected calibration error, in [0, 1]."""
        return expected_calibration_error(self.bins)
