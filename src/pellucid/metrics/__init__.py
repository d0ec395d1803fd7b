"""Numbers from predictions: pure functions of tensors."""

from .calibration import Reliability, brier, expected_calibration_error, reliability
from .classification import (
    Interval,
    PerClass,
    confusion,
    cross_entropy,
    in_top_k,
    per_class,
    proportion,
    strongest_confusions,
)

__all__ = [
    "Interval",
    "PerClass",
    "Reliability",
    "brier",
    "confusion",
    "cross_entropy",
    "expected_calibration_error",
    "in_top_k",
    "per_class",
    "proportion",
    "reliability",
    "strongest_confusions",
]
