"""Vision before networks: patches become descriptors, and descriptors find each other."""

from .align import Alignment, align
from .dense_sift import dense_sift, grid
from .gradients import gradients
from .match import Matches, match
from .match_images import MatchedImages, match_images

__all__ = [
    "Alignment",
    "MatchedImages",
    "Matches",
    "align",
    "dense_sift",
    "gradients",
    "grid",
    "match",
    "match_images",
]
