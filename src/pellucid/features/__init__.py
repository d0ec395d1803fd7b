"""Reuse what a network learned: rows of features (N, D), float32, of images; kept on disk, normalised, put to use.

`extract` makes them of images in memory, a `Store` of a set of pictures, streamed and kept; any `FeatureSource` can
fill one. What must first be fitted is a class: fit learns from training rows and returns itself.
"""

from . import probes
from ._filling import Filled
from ._found import Found
from .agreement import agreement
from .column import Column, FeatureSource
from .extract import extract
from .gray_model import gray_model
from .image_index import ImageIndex
from .index import Index, Neighbours
from .last_features import last_features
from .near_duplicates import Pairs, confirmed, groups, near_duplicates
from .normaliser import Normaliser
from .probes import compare_layers, compare_origins, grid_search
from .project import MapScores, Projection, map_scores, project
from .retrieval import Retrieval, retrieval
from .solve_jigsaw import Solved, solve_jigsaw
from .store import Store

__all__ = [
    "Column",
    "FeatureSource",
    "Filled",
    "Found",
    "ImageIndex",
    "Index",
    "MapScores",
    "Neighbours",
    "Normaliser",
    "Pairs",
    "Projection",
    "Retrieval",
    "Solved",
    "Store",
    "agreement",
    "compare_layers",
    "compare_origins",
    "confirmed",
    "extract",
    "gray_model",
    "grid_search",
    "groups",
    "last_features",
    "map_scores",
    "near_duplicates",
    "probes",
    "project",
    "retrieval",
    "solve_jigsaw",
]
