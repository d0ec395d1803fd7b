"""Lessons: f(*, options, generator=None) -> Lesson, each a few seconds; `pellucid learn` is this list."""

from .activations import activations
from .convolution import convolution
from .cross_entropy import cross_entropy
from .initialization import initialization
from .mlp import mlp
from .normalization import normalization
from .optimizers import optimizers
from .perceptron import perceptron
from .svm import svm

__all__ = [
    "activations",
    "convolution",
    "cross_entropy",
    "initialization",
    "mlp",
    "normalization",
    "optimizers",
    "perceptron",
    "svm",
]
