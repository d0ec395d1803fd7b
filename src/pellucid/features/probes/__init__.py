"""Probes: what can be told from rows of features; each (options).fit(features, targets), .scores, .predict.

`grid_search` chooses C and gamma, `compare_layers` and `compare_origins` put layers and networks side by side.
"""

from .compare_layers import LayerScore, Probe, compare_layers
from .compare_origins import OriginScore, compare_origins
from .grid_search import COSTS, Search, Searched, grid_search
from .held_out import HeldOut, held_out
from .kernel_svm import KernelSVM
from .linear_svm import LinearSVM
from .logistic_regression import LogisticRegression
from .mlp_head import MLPHead
from .nearest import Nearest, nearest
from .nearest_neighbours import NearestNeighbours
from .origins import PIXELS, RawPixels, origin_rows, random_network
from .saved import PROBES, about_probe, load_probe, save_probe
from .with_probe import with_probe

__all__ = [
    "COSTS",
    "PIXELS",
    "PROBES",
    "HeldOut",
    "KernelSVM",
    "LayerScore",
    "LinearSVM",
    "LogisticRegression",
    "MLPHead",
    "Nearest",
    "NearestNeighbours",
    "OriginScore",
    "Probe",
    "RawPixels",
    "Search",
    "Searched",
    "about_probe",
    "compare_layers",
    "compare_origins",
    "grid_search",
    "held_out",
    "load_probe",
    "nearest",
    "origin_rows",
    "random_network",
    "save_probe",
    "with_probe",
]
