"""Lessons: f(*, options, generator=None) -> Lesson, each a few seconds; `pellucid learn` is this list."""

from .activations import activations
from .bayesian_linear import bayesian_linear
from .bayesian_logistic import bayesian_logistic
from .convolution import convolution
from .cross_entropy import cross_entropy
from .initialization import initialization
from .mlp import mlp
from .normalization import normalization
from .optimizers import optimizers
from .perceptron import perceptron
from .svm import svm
from .two_moons import two_moons

__all__ = [
    "activations",
    "bayesian_linear",
    "bayesian_logistic",
    "convolution",
    "cross_entropy",
    "initialization",
    "mlp",
    "normalization",
    "optimizers",
    "perceptron",
    "svm",
    "two_moons",
]
