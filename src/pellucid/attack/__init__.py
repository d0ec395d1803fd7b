"""How a network is broken: f(model, images, targets, *, epsilon, options) -> images in [0, 1] and inside the ball.

`outcome` measures what an attack came to, `Trace` tells what it did, `Query` counts and caps what a black box is asked.
"""

from ._painting import Painting, Shape
from ._paste import Patch
from ._pixels import ChangedPixels
from ._printed import read_patch, write_patch
from ._question import check_epsilon
from ._walks import Walk
from .aims import aims, attack_of, norm_of
from .alarms import Alarm, alarms, shown_epsilon
from .apgd import apgd
from .boundary import boundary
from .carlini_wagner import carlini_wagner
from .deepfool import deepfool
from .eot import eot, survival
from .fgsm import fgsm
from .fooling import fooling
from .latent import latent
from .mi_fgsm import mi_fgsm
from .one_pixel import one_pixel
from .outcome import Outcome, outcome
from .patch import patch
from .patch_success import PatchSuccess, patch_success
from .pgd import pgd
from .query import BudgetSpentError, Query
from .robustness import Robustness, robustness
from .shapes import shapes
from .square import square
from .strong import Broken, strong
from .success_map import SuccessMap, success_map
from .trace import Trace
from .universal import UniversalChange, universal

__all__ = [
    "Alarm",
    "Broken",
    "BudgetSpentError",
    "ChangedPixels",
    "Outcome",
    "Painting",
    "Patch",
    "PatchSuccess",
    "Query",
    "Robustness",
    "Shape",
    "SuccessMap",
    "Trace",
    "UniversalChange",
    "Walk",
    "aims",
    "alarms",
    "apgd",
    "attack_of",
    "boundary",
    "carlini_wagner",
    "check_epsilon",
    "deepfool",
    "eot",
    "fgsm",
    "fooling",
    "latent",
    "mi_fgsm",
    "norm_of",
    "one_pixel",
    "outcome",
    "patch",
    "patch_success",
    "pgd",
    "read_patch",
    "robustness",
    "shapes",
    "shown_epsilon",
    "square",
    "strong",
    "success_map",
    "survival",
    "universal",
    "write_patch",
]
