"""How sure a network is: samplers f(model, images) -> samples (S, N, K), and scores of samples or of images.

A score is higher the less an answer is to be trusted.
"""

from . import failure, ood
from .calibrated import calibrated
from .conformal_sets import ConformalSets, Coverage, PredictionSets, set_coverage
from .isotonic_calibration import IsotonicCalibration
from .mc_dropout import mc_dropout
from .scores import (
    energy,
    entropy,
    expected_entropy,
    least_confidence,
    margin,
    mean_class_variance,
    mutual_information,
    predicted_variance,
    total_class_variance,
    variation_ratio,
)
from .summary import Summary, summary
from .temperature_scaling import TemperatureScaling
from .vector_scaling import VectorScaling

__all__ = [
    "ConformalSets",
    "Coverage",
    "IsotonicCalibration",
    "PredictionSets",
    "Summary",
    "TemperatureScaling",
    "VectorScaling",
    "calibrated",
    "energy",
    "entropy",
    "expected_entropy",
    "failure",
    "least_confidence",
    "margin",
    "mc_dropout",
    "mean_class_variance",
    "mutual_information",
    "ood",
    "predicted_variance",
    "set_coverage",
    "summary",
    "total_class_variance",
    "variation_ratio",
]
