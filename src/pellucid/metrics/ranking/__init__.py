"""Whether a score ranks what is wrong, or from elsewhere, above the rest: a score is higher the less to be trusted.

`failure_table` and `detection_table` compare scores by name, with intervals; the others are the single numbers.
"""

from .detection import DetectionRow, DetectionTable, detection_table
from .failure import FailureRow, FailureTable, failure_differences, failure_table
from .measures import auroc, average_precision, detection_error, false_positive_rate
from .precision_recall import PrecisionRecall, precision_recall
from .risk import RiskCoverage, aurc, excess_aurc, risk_coverage
from .threshold import Threshold, threshold_for_accuracy

__all__ = [
    "DetectionRow",
    "DetectionTable",
    "FailureRow",
    "FailureTable",
    "PrecisionRecall",
    "RiskCoverage",
    "Threshold",
    "aurc",
    "auroc",
    "average_precision",
    "detection_error",
    "detection_table",
    "excess_aurc",
    "failure_differences",
    "failure_table",
    "false_positive_rate",
    "precision_recall",
    "risk_coverage",
    "threshold_for_accuracy",
]
