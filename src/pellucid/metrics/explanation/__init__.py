"""Which explanation to believe: numbers that test a map, f(model, images, targets, heat) or f(explain, model, ...)."""

from ._curve import Curve
from .average_drop import AverageDrop, average_drop
from .baselines import baselines
from .completeness import Completeness, completeness
from .deletion import deletion
from .insertion import insertion
from .is_flat import is_flat
from .model_randomisation import Randomisation, model_randomisation
from .pointing_game import PointingGame, pointing_game
from .sensitivity import Explain, Sensitivity, sensitivity

__all__ = [
    "AverageDrop",
    "Completeness",
    "Curve",
    "Explain",
    "PointingGame",
    "Randomisation",
    "Sensitivity",
    "average_drop",
    "baselines",
    "completeness",
    "deletion",
    "insertion",
    "is_flat",
    "model_randomisation",
    "pointing_game",
    "sensitivity",
]
