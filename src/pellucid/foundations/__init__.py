"""Small exact things, written out from their formulas: what larger ones are made of."""

from .convolution import convolution
from .convolution_matrix import convolution_matrix
from .convolution_pixel import convolution_pixel
from .dense_as_convolution import dense_as_convolution, fully_convolutional
from .gates import gate_network
from .lesson import Lesson
from .perceptron import Perceptron
from .pooling import pooling
from .transposed_convolution import transposed_convolution

__all__ = [
    "Lesson",
    "Perceptron",
    "convolution",
    "convolution_matrix",
    "convolution_pixel",
    "dense_as_convolution",
    "fully_convolutional",
    "gate_network",
    "pooling",
    "transposed_convolution",
]
