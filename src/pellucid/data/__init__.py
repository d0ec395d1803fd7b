"""Read images and labels safely: a path in, an image set out; no file can crash a run."""

from .builtin import builtin
from .classes import ClassMatch, class_matches, match_classes, read_class_map
from .gather import gather
from .image_set import ClassLabel, ImageSet, Item, Unreadable
from .loading import Batch, batches
from .open_images import open_images
from .pictures import read_image, to_image

__all__ = [
    "Batch",
    "ClassLabel",
    "ClassMatch",
    "ImageSet",
    "Item",
    "Unreadable",
    "batches",
    "builtin",
    "class_matches",
    "gather",
    "match_classes",
    "open_images",
    "read_class_map",
    "read_image",
    "to_image",
]
