"""Which classes an image may be of: conformal sets from one half of the images, judged on the other."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, batches
from pellucid.models import Model
from pellucid.uncertainty import ConformalSets, Coverage, set_coverage

from .halves import Halves
from .predictions import Predictions

ALPHA = 0.1
"""Share of the sets that may miss the true class."""

DRAWN = 6
"""Images shown whose sets are large."""


@dataclass(frozen=True)
class Ambiguous:
    """One image that may be of many classes."""

    row: int  # place in the predictions
    classes: tuple[int, ...]  # the set, the most probable first
    image: Tensor  # (C, H, W), in [0, 1]


@dataclass(frozen=True)
class Sets:
    """How often the sets hold the true class, and how large they must be for it."""

    alpha: float
    fitted: int  # images
    judged: int  # other images
    least: float  # probability from which a class is in a set
    coverage: Coverage  # of the judged half
    largest: tuple[Ambiguous, ...]  # those of more than one class, the largest first


def find_sets(model: Model, images: ImageSet, predictions: Predictions, halves: Halves) -> Sets:
    """Sets that hold the true class with probability 1 - alpha, and the images with the largest."""
    one, other = halves.fitted, halves.judged
    fitted = ConformalSets(alpha=ALPHA).fit(one.probabilities, one.targets)
    found = fitted(other.probabilities)
    order = found.sizes.argsort(descending=True, stable=True)[:DRAWN]
    order = order[found.sizes[order] > 1]
    chosen = images.subset([int(predictions.positions[row]) for row in other.rows[order]])
    largest = []
    for batch in batches(chosen, model.geometry, batch_size=DRAWN, workers=0):
        for place, pixels in zip(batch.indices.tolist(), batch.images() if len(batch.indices) else (), strict=True):
            at = int(order[place])
            ranked = torch.argsort(other.logits[at], descending=True, stable=True)[: int(found.sizes[at])]
            largest.append(Ambiguous(int(other.rows[at]), tuple(ranked.tolist()), pixels))
    covered = set_coverage(found, other.targets)
    return Sets(ALPHA, len(one), len(other), 1 - fitted.limit_, covered, tuple(largest))
