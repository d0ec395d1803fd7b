"""Small exact things, written out from their formulas: what larger ones are made of."""

from . import (
    activations,
    bases,
    cross_entropy,
    four_ways,
    initializers,
    kernels,
    likelihoods,
    minima,
    normalizers,
    optimizers,
)
from .bayesian_linear import BayesianLinearRegression
from .bayesian_logistic import BayesianLogisticRegression
from .convolution import convolution
from .convolution_matrix import convolution_matrix
from .convolution_pixel import convolution_pixel
from .dense_as_convolution import dense_as_convolution, fully_convolutional
from .dropout import dropout
from .dropout_mlp import DropoutMLP
from .evidence import most_evident
from .formula import formula
from .gates import gate_network
from .lesson import Lesson
from .perceptron import Perceptron
from .pooling import pooling
from .spread import spread
from .transposed_convolution import transposed_convolution
from .variational_mlp import VariationalMLP

__all__ = [
    "BayesianLinearRegression",
    "BayesianLogisticRegression",
    "DropoutMLP",
    "Lesson",
    "Perceptron",
    "VariationalMLP",
    "activations",
    "bases",
    "convolution",
    "convolution_matrix",
    "convolution_pixel",
    "cross_entropy",
    "dense_as_convolution",
    "dropout",
    "formula",
    "four_ways",
    "fully_convolutional",
    "gate_network",
    "initializers",
    "kernels",
    "likelihoods",
    "minima",
    "most_evident",
    "normalizers",
    "optimizers",
    "pooling",
    "spread",
    "transposed_convolution",
]
