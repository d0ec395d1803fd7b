"""Networks of our own, built by name; this list is all that a model.json may name."""

from ._build import build
from .digits_cnn import digits_cnn
from .mobilenet_v1 import mobilenet_v1

__all__ = ["build", "digits_cnn", "mobilenet_v1"]
