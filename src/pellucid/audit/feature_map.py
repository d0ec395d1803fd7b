"""The map of features: pictures as points of a plane, like beside like, and how far the classes stand apart in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.features import MapScores, Projection, map_scores, project

PERPLEXITY = 30.0
"""Neighbours that count, where there are enough pictures."""

FEWEST = 10
"""Pictures under which a map shows nothing."""


@dataclass(frozen=True)
class FeatureMap:
    """Pictures as points."""

    projection: Projection  # its rows are places among the pictures that were given
    targets: Tensor  # (n,), int64, of the points
    scores: MapScores | None  # None where the points are of one class, or each of its own


def feature_map(features: Tensor, targets: Tensor, *, how: str = "tsne", seed: int = 0, most: int = 2000) -> FeatureMap:
    """Project features, as many as there are up to `most`, a seeded sample of more.

    Args:
        features: (N, D), float, finite, N at least FEWEST.
        targets: (N,), int64.
        how: tsne or pca.
        seed: of the sample and the map.
        most: pictures drawn.
    """
    source = torch.Generator().manual_seed(seed)
    perplexity = min(PERPLEXITY, (min(len(features), most) - 1) / 3.5)
    made = project(features, how, perplexity=perplexity, most=most, generator=source)
    own = targets[made.rows]
    classes = len(torch.unique(own))
    scores = map_scores(features, targets, made) if 2 <= classes < len(own) else None
    return FeatureMap(made, own, scores)
