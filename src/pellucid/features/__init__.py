"""Reuse what a network learned: rows of features (N, D), float32, of images; kept on disk, normalised, put to use.

`extract` makes them of images in memory, a `Store` of a set of pictures, streamed and kept; any `FeatureSource` can
fill one. What must first be fitted is a class: fit learns from training rows and returns itself.
"""

from ._filling import Filled
from .column import Column, FeatureSource
from .extract import extract
from .gray_model import gray_model
from .normaliser import Normaliser
from .store import Store

__all__ = ["Column", "FeatureSource", "Filled", "Normaliser", "Store", "extract", "gray_model"]
