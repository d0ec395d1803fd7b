"""Vision before networks: patches become descriptors, and descriptors find each other."""

from .align import Alignment, align
from .bag_of_words import BagOfWords
from .bags import Bags
from .choose_words import WordChoice, choose_words
from .compare_kernels import KernelComparison, compare_kernels
from .dense_sift import dense_sift, grid
from .dictionary import Dictionary
from .encode import Codes, encode
from .fisher_vectors import FisherVectors
from .gradients import gradients
from .kernel import Kernel, chi2_distance, intersection
from .match import Matches, match
from .match_images import MatchedImages, match_images
from .match_views import match_views
from .pyramid import pyramid
from .vlad import vlad
from .word_patches import WordPatches, word_patches

__all__ = [
    "Alignment",
    "BagOfWords",
    "Bags",
    "Codes",
    "Dictionary",
    "FisherVectors",
    "Kernel",
    "KernelComparison",
    "MatchedImages",
    "Matches",
    "WordChoice",
    "WordPatches",
    "align",
    "chi2_distance",
    "choose_words",
    "compare_kernels",
    "dense_sift",
    "encode",
    "gradients",
    "grid",
    "intersection",
    "match",
    "match_images",
    "match_views",
    "pyramid",
    "vlad",
    "word_patches",
]
