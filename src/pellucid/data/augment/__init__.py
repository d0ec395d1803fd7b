"""Augmentation of whole batches, on any device: a policy in, images like the ones given out."""

from ._draws import Draws
from ._text import OPS, PRESETS
from .mixing import cutmix, mixup
from .pairs import Pairs, augmentation_pairs
from .policy import Augmented, Policy, flip_classes, policy

__all__ = [
    "OPS",
    "PRESETS",
    "Augmented",
    "Draws",
    "Pairs",
    "Policy",
    "augmentation_pairs",
    "cutmix",
    "flip_classes",
    "mixup",
    "policy",
]
