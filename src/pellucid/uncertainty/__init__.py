"""How sure a network is: samplers f(model, images) -> samples (S, N, K), and scores of samples or of images.

Of several networks it is ensemble(models, images): of `members`, or of the `snapshots` of one run. What must first be
fitted on images is a class (Laplace, VariationalLastLayer, Swag): fit(model, images) -> itself, then called on images.
A score is higher the less an answer is to be trusted.
"""

from . import failure, ood
from .aggregate import aggregate
from .augmentation_gain import Gain, augmentation_gain
from .calibrated import calibrated
from .conformal_sets import ConformalSets, Coverage, PredictionSets, set_coverage
from .ensemble import ensemble, members
from .isotonic_calibration import IsotonicCalibration
from .laplace import Laplace
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
from .snapshots import snapshots
from .summary import Summary, summary
from .swag import Swag
from .temperature_scaling import TemperatureScaling
from .test_time_augmentation import test_time_augmentation
from .variational_last_layer import VariationalLastLayer
from .vector_scaling import VectorScaling
from .views import Views, views

__all__ = [
    "ConformalSets",
    "Coverage",
    "Gain",
    "IsotonicCalibration",
    "Laplace",
    "PredictionSets",
    "Summary",
    "Swag",
    "TemperatureScaling",
    "VariationalLastLayer",
    "VectorScaling",
    "Views",
    "aggregate",
    "augmentation_gain",
    "calibrated",
    "energy",
    "ensemble",
    "entropy",
    "expected_entropy",
    "failure",
    "least_confidence",
    "margin",
    "mc_dropout",
    "mean_class_variance",
    "members",
    "mutual_information",
    "ood",
    "predicted_variance",
    "set_coverage",
    "snapshots",
    "summary",
    "test_time_augmentation",
    "total_class_variance",
    "variation_ratio",
    "views",
]
