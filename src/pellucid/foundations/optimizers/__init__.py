"""Optimisers, plainly: (function, start, *, steps, options) -> the path of the weights, (steps + 1, D)."""

from .adagrad import adagrad
from .adam import adam
from .adamw import adamw
from .lbfgs import lbfgs
from .momentum import momentum
from .momentum_average import momentum_average
from .nesterov import nesterov
from .newton import newton
from .rmsprop import rmsprop
from .sgd import sgd

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "lbfgs",
    "momentum",
    "momentum_average",
    "nesterov",
    "newton",
    "rmsprop",
    "sgd",
]
