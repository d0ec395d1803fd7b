"""Read images and labels safely: a path in, an image set out; no file can crash a run."""

from . import augment, jigsaw
from .builtin import builtin
from .classes import ClassMatch, class_matches, match_classes, read_class_map
from .corruptions import CORRUPTIONS, SEVERITIES, corrupt
from .epochs import Batches, batches_of
from .gather import gather
from .image_set import ClassLabel, ImageSet, Item, Unreadable
from .loading import Batch, batches
from .memory import Pixels, in_memory
from .open_images import open_images
from .out_sets import OUT_SETS, out_set
from .pictures import read_image, to_image
from .splits import Fold, Split, content_keys, k_folds, leave_one_out, split_indices, stamp_of
from .statistics import ChannelStatistics, channel_statistics, mean_image, standardised
from .tables import Table, read_rows, read_table
from .zca import Zca

__all__ = [
    "CORRUPTIONS",
    "OUT_SETS",
    "SEVERITIES",
    "Batch",
    "Batches",
    "ChannelStatistics",
    "ClassLabel",
    "ClassMatch",
    "Fold",
    "ImageSet",
    "Item",
    "Pixels",
    "Split",
    "Table",
    "Unreadable",
    "Zca",
    "augment",
    "batches",
    "batches_of",
    "builtin",
    "channel_statistics",
    "class_matches",
    "content_keys",
    "corrupt",
    "gather",
    "in_memory",
    "jigsaw",
    "k_folds",
    "leave_one_out",
    "match_classes",
    "mean_image",
    "open_images",
    "out_set",
    "read_class_map",
    "read_image",
    "read_rows",
    "read_table",
    "split_indices",
    "stamp_of",
    "standardised",
    "to_image",
]
