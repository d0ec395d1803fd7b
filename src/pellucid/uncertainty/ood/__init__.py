"""Does it know this kind of image: f(model, images) -> scores (N,), higher = less to be trusted.

What must first be fitted on known images is a class: fit(model, images, targets) -> itself, then called on images.
`detectors` makes either by name, `compare` shows them the same images.
"""

from .compare import Appearance, Comparison, Detector, compare
from .detectors import FITTED, PLAIN, detectors
from .energy import energy
from .entropy import entropy
from .knn import Knn
from .mahalanobis import Mahalanobis
from .max_logit import max_logit
from .max_probability import max_probability
from .mc_dropout import mc_dropout
from .odin import odin
from .react import ReAct
from .saved import load_detector, save_detector
from .spread import Spread, spread
from .tune_odin import OdinOptions, tune_odin
from .vim import Vim

__all__ = [
    "FITTED",
    "PLAIN",
    "Appearance",
    "Comparison",
    "Detector",
    "Knn",
    "Mahalanobis",
    "OdinOptions",
    "ReAct",
    "Spread",
    "Vim",
    "compare",
    "detectors",
    "energy",
    "entropy",
    "load_detector",
    "max_logit",
    "max_probability",
    "mc_dropout",
    "odin",
    "save_detector",
    "spread",
    "tune_odin",
]
