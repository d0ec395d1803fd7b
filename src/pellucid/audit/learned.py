"""What it learned from: the training pictures its mistakes lie near, and pictures that stand on both sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.data import ImageSet, Unreadable, batches, class_matches
from pellucid.features import extract, last_features
from pellucid.metrics import Interval, proportion
from pellucid.models import Model
from pellucid.progress import steps

from .feature_map import FEWEST, FeatureMap, feature_map
from .neighbours import nearest_of_class, same_pictures
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
    """A picture that is one learned from, but for size, crop or compression."""

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
    threshold: float  # cosine distance up to which two pictures were compared
    is_listed: bool  # False where too many are near in features to tell which are the same
    pairs: int  # training and asked pictures that are the same, but for size, crop or compression
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
    known, places, lost = _features(model, train.subset([labelled[one] for one in order]), layer, train.path)
    places = [labelled[order[place]] for place in places]
    labels = torch.tensor([index[_target(train, place)] for place in places])
    asked, found, _ = _features(model, images.subset(rows.positions.tolist()), layer, images.path)
    if len(found) != len(rows):
        raise ValueError(f"{images.path}: changed while it was read")
    looked = _Looked(model, images, rows, train, places, labels)
    same = same_pictures(known, asked, looked.known_image, looked.image)
    pairs = same.pairs
    alone = torch.ones(len(rows), dtype=torch.bool)
    alone[pairs.second] = False
    made = feature_map(asked, rows.targets, seed=seed) if len(rows) >= FEWEST else None
    return Learned(
        path=train.path,
        images=len(known),
        layer=layer,
        mistaken=looked.mistaken(known, asked, count),
        threshold=pairs.threshold,
        is_listed=same.is_listed,
        pairs=len(pairs),
        rows=(~alone).nonzero()[:, 0],
        twins=looked.twins(pairs.first[:SHOWN], pairs.second[:SHOWN], pairs.distances[:SHOWN]),
        without=proportion(int(rows.correct[alone].sum()), int(alone.sum())) if bool(alone.any()) else None,
        map=made,
        pictures=looked.drawn(made, seed),
        notes=(*same.notes, *_left_out(lost, len(labelled))),
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
        return Near(self.train.items[self.places[row]].file, int(self.labels[row]), distance, self.known_image(row))

    def known_image(self, row: int) -> Tensor:
        """Of the training pictures."""
        return self.train.read(self.places[row], self.model.geometry).float() / 255


def _left_out(lost: Sequence[Unreadable], count: int) -> tuple[str, ...]:
    """Training pictures that were not looked at."""
    drawn = (f"{MOST:,} of {count:,} training pictures, drawn",) if count > MOST else ()
    if not lost:
        return drawn
    first = f"the first {lost[0].file} ({lost[0].reason})"
    return (*drawn, f"training pictures that could not be read are left out: {len(lost):,}, {first}")


def _features(model: Model, images: ImageSet, layer: str, path: str) -> tuple[Tensor, list[int], list[Unreadable]]:
    """(N, D), on the CPU, the place of each row in the set, and what cannot be read, which has none."""
    parts: list[Tensor] = []
    places: list[int] = []
    lost: list[Unreadable] = []
    size = 16 if model.mean.device.type == "cpu" else 128
    with steps("features", len(images)) as done:
        for batch in batches(images, model.geometry, batch_size=size):
            if len(batch.indices):
                parts.append(extract(model, batch.images(model.mean.device), [layer])[layer].cpu())
                places += batch.indices.tolist()
            lost += batch.errors
            done(len(batch.indices) + len(batch.errors))
    if not parts:
        raise ValueError(f"{path}: none of the {len(images)} pictures could be read")
    return torch.cat(parts), places, lost


def _target(train: ImageSet, place: int) -> int:
    target = train.items[place].target
    assert target is not None
    return target
