"""What it learned from: the training pictures its mistakes lie near, and pictures that stand on both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, batches, class_matches
from pellucid.features import extract, last_features, near_duplicates
from pellucid.metrics import Interval, proportion
from pellucid.models import Model
from pellucid.progress import steps

from .feature_map import FEWEST, FeatureMap, feature_map
from .neighbours import near_limit, nearest_of_class
from .predictions import Predictions

MOST = 50_000
"""Training pictures that are looked at, a seeded sample of more."""

SHOWN, DRAWN = 12, 400
"""Pairs shown, and pictures that come up on the map."""


@dataclass(frozen=True)
class Near:
    """A training picture near one that was asked about."""

    file: str
    label: int  # class of the model
    distance: float  # cosine, in [0, 2]
    image: Tensor  # (C, H, W), in [0, 1]


@dataclass(frozen=True)
class Mistaken:
    """A mistake, and the training pictures it lies near."""

    row: int  # of the predictions
    image: Tensor  # (C, H, W), in [0, 1]
    taken_for: Near | None  # the nearest of the class it is taken for; None where none was learned from
    own: Near | None  # the nearest of its own class


@dataclass(frozen=True)
class Twin:
    """A picture that is nearly one learned from."""

    row: int  # of the predictions
    image: Tensor
    near: Near


@dataclass(frozen=True)
class Learned:
    """What the training pictures say."""

    path: str
    images: int  # training pictures that were looked at
    layer: str  # whose features
    mistaken: tuple[Mistaken, ...]  # the most confident mistakes first
    threshold: float  # cosine distance up to which two pictures are nearly equal
    pairs: int  # training and asked pictures that are nearly equal
    rows: Tensor  # (n,), int64, rows of the predictions that have such a twin
    twins: tuple[Twin, ...]  # the nearest pairs first
    without: Interval | None  # accuracy on the pictures without a twin; None where all have one
    map: FeatureMap | None  # of the pictures asked about; None for a few
    pictures: Mapping[int, Tensor]  # point of the map -> its picture
    notes: tuple[str, ...]


def look_at_learned(
    model: Model,
    images: ImageSet,
    rows: Predictions,
    train: ImageSet,
    *,
    count: int,
    seed: int,
    class_map: Mapping[str, str | int] | None = None,
) -> Learned:
    """Lay the pictures asked about beside those learned from, by the last features.

    Args:
        model: in eval mode.
        images: what was asked about.
        rows: what it said.
        train: what it learned from, with labels.
        count: mistakes whose neighbours are looked for.
        seed: of the samples and the map.
        class_map: as of `audit`.

    Raises:
        ValueError: the training set has no labels, or nothing of it can be read.
    """
    index = {match.target: match.index for match in class_matches(train, model.classes, model.class_ids, class_map)}
    labelled = [place for place, item in enumerate(train.items) if item.target is not None]
    if not labelled:
        raise ValueError(f"{train.path}: has no labels, which the training pictures of an audit need")
    order = torch.randperm(len(labelled), generator=torch.Generator().manual_seed(seed))[:MOST].sort().values.tolist()
    layer = last_features(model)
    known, places = _features(model, train.subset([labelled[one] for one in order]), layer, train.path)
    places = [labelled[order[place]] for place in places]
    labels = torch.tensor([index[_target(train, place)] for place in places])
    asked, found = _features(model, images.subset(rows.positions.tolist()), layer, images.path)
    if len(found) != len(rows):
        raise ValueError(f"{images.path}: changed while it was read")
    looked = _Looked(model, images, rows, train, places, labels)
    threshold = near_limit(known, asked)
    pairs, first, second, notes = _pairs(known, asked, threshold)
    alone = torch.ones(len(rows), dtype=torch.bool)
    alone[second] = False
    made = feature_map(asked, rows.targets, seed=seed) if len(rows) >= FEWEST else None
    return Learned(
        path=train.path,
        images=len(known),
        layer=layer,
        mistaken=looked.mistaken(known, asked, count),
        threshold=threshold,
        pairs=len(first),
        rows=(~alone).nonzero()[:, 0],
        twins=looked.twins(first[:SHOWN], second[:SHOWN], pairs[:SHOWN]),
        without=proportion(int(rows.correct[alone].sum()), int(alone.sum())) if bool(alone.any()) else None,
        map=made,
        pictures=looked.drawn(made, seed),
        notes=notes if len(labelled) <= MOST else (*notes, f"{MOST:,} of {len(labelled):,} training pictures, drawn"),
    )


@dataclass(frozen=True)
class _Looked:
    """Both sets, and which picture of the training set is which row of features."""

    model: Model
    images: ImageSet
    rows: Predictions
    train: ImageSet
    places: Sequence[int]  # in the training set, of each known row
    labels: Tensor  # of each known row

    def mistaken(self, known: Tensor, asked: Tensor, count: int) -> tuple[Mistaken, ...]:
        """The most confident mistakes."""
        order = self.rows.confidence.argsort(descending=True, stable=True)
        chosen = order[~self.rows.correct[order]][:count]
        if not len(chosen):
            return ()
        some = asked[chosen]
        taken = nearest_of_class(known, self.labels, some, self.rows.predicted[chosen])
        own = nearest_of_class(known, self.labels, some, self.rows.targets[chosen])
        return tuple(
            Mistaken(
                row,
                self.image(row),
                self.near(int(taken.rows[number]), float(taken.distances[number])),
                self.near(int(own.rows[number]), float(own.distances[number])),
            )
            for number, row in enumerate(chosen.tolist())
        )

    def twins(self, first: Tensor, second: Tensor, distances: Tensor) -> tuple[Twin, ...]:
        """Pairs with their pictures."""
        ends = zip(first.tolist(), second.tolist(), distances.tolist(), strict=True)
        found = [(row, self.near(one, far)) for one, row, far in ends]
        return tuple(Twin(row, self.image(row), near) for row, near in found if near is not None)

    def drawn(self, made: FeatureMap | None, seed: int) -> dict[int, Tensor]:
        """Pictures of some points."""
        if made is None:
            return {}
        points = torch.randperm(len(made.targets), generator=torch.Generator().manual_seed(seed))[:DRAWN]
        return {point: self.image(int(made.projection.rows[point])) for point in points.sort().values.tolist()}

    def image(self, row: int) -> Tensor:
        """Of the pictures asked about."""
        return self.images.read(int(self.rows.positions[row]), self.model.geometry).float() / 255

    def near(self, row: int, distance: float) -> Near | None:
        """A training picture; None for row -1."""
        if row < 0:
            return None
        place = self.places[row]
        image = self.train.read(place, self.model.geometry).float() / 255
        return Near(self.train.items[place].file, int(self.labels[row]), distance, image)


def _features(model: Model, images: ImageSet, layer: str, path: str) -> tuple[Tensor, list[int]]:
    """(N, D), on the CPU, and the place of each row in the set; what cannot be read has none."""
    parts: list[Tensor] = []
    places: list[int] = []
    size = 16 if model.mean.device.type == "cpu" else 128
    with steps("features", len(images)) as done:
        for batch in batches(images, model.geometry, batch_size=size):
            if len(batch.indices):
                parts.append(extract(model, batch.images(model.mean.device), [layer])[layer].cpu())
                places += batch.indices.tolist()
            done(len(batch.indices) + len(batch.errors))
    if not parts:
        raise ValueError(f"{path}: none of the {len(images)} pictures could be read")
    return torch.cat(parts), places


def _pairs(known: Tensor, asked: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Distances, known rows and asked rows of pairs, the nearest first, and why there are none, if so."""
    try:
        found = near_duplicates(known, asked, threshold=threshold)
    except ValueError as error:  # more pairs than can be looked at: the features tell too little; the page repeats it
        none = torch.zeros(0, dtype=torch.int64)
        return none.double(), none, none, (f"pictures on both sides could not be listed: {error}",)
    return found.distances, found.first, found.second, ()


def _target(train: ImageSet, place: int) -> int:
    target = train.items[place].target
    assert target is not None
    return target
