"""Will this answer be wrong: scores (N,) of images, higher = less to be trusted, and one fair table of them.

What must first be fitted is a class: fit(model, images, targets) -> itself, then called on images.
"""

from .compare import Comparison, compare
from .confid_net import ConfidNet
from .doctor import doctor
from .true_class_probability import true_class_probability
from .trust_score import TrustScore

__all__ = [
    "Comparison",
    "ConfidNet",
    "TrustScore",
    "compare",
    "doctor",
    "true_class_probability",
]
