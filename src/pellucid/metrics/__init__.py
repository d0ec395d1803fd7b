"""Numbers from predictions: pure functions of tensors."""

from . import explanation, ranking
from .boxes import Box, best_iou, box_iou, heat_boxes
from .calibration import Reliability, brier, calibration_interval, expected_calibration_error, reliability
from .classification import (
    Averages,
    Interval,
    PerClass,
    averages,
    confusion,
    cross_entropy,
    in_top_k,
    per_class,
    proportion,
    strongest_confusions,
)
from .intervals import bootstrap, student

__all__ = [
    "Averages",
    "Box",
    "Interval",
    "PerClass",
    "Reliability",
    "averages",
    "best_iou",
    "bootstrap",
    "box_iou",
    "brier",
    "calibration_interval",
    "confusion",
    "cross_entropy",
    "expected_calibration_error",
    "explanation",
    "heat_boxes",
    "in_top_k",
    "per_class",
    "proportion",
    "ranking",
    "reliability",
    "strongest_confusions",
    "student",
]
