"""All that one `pellucid transfer` finds: trials, the mistakes of the best, and pictures that stand on both sides."""

from argparse import Namespace
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pellucid.audit.feature_map import FEWEST, FeatureMap, feature_map
from pellucid.audit.neighbours import nearest_of_class, same_pictures
from pellucid.metrics import Interval, proportion

from ._transfer_model import Kept, kept
from ._transfer_origins import Origins, origins_of
from ._transfer_sets import Rows, Sets, filled, layers_of
from ._transfer_trials import Trial, Trials, drawn, tried
from ._transfer_words import Words, words_of

if TYPE_CHECKING:
    from pellucid.models import Model


@dataclass(frozen=True)
class Mistake:
    """A test picture that the best probe tells wrong."""

    row: int
    predicted: int
    taken_for: int  # the nearest training row of the predicted class
    taken_distance: float  # cosine
    own: int  # the nearest training row of its own class
    own_distance: float


@dataclass(frozen=True)
class Twins:
    """Pictures that stand on both sides, the same but for size, crop or compression."""

    train: Tensor  # (P,), int64, rows, the nearest pair first
    test: Tensor  # (P,), int64, rows
    distances: Tensor  # (P,), float64, cosine of the last features
    same: Tensor  # (P,), bool: the files are equal, byte by byte
    layer: str  # whose features
    threshold: float
    accuracy: Interval  # of the best probe on the test pictures without a twin
    is_listed: bool  # False where only equal files are: too many are near in features
    note: str  # what was not compared; "" where all was


@dataclass(frozen=True)
class Found:
    """What came of it."""

    name: str  # of the model
    rows: Rows
    trials: Trials
    mistakes: tuple[Mistake, ...]  # the clearest first
    wrong: int  # how many there are
    twins: Twins
    map: FeatureMap | None  # of test pictures by the best layer; None for a few, or where none was asked for
    origins: Origins | None  # None where none were asked for
    kept: Kept  # the model that is left
    words: Words | None  # visual words; None where they were not asked for

    @property
    def best(self) -> Trial:
        """The trial that did best on training pictures."""
        return self.trials.best

    def about(self, pool: str) -> dict[str, Any]:
        """What the best probe is to be asked with: source, column and classes."""
        store = self.rows.stores[0]
        column = store.column(self.best.layer, pool=pool, post="none")
        told = {"layer": column.layer, "pool": column.pool, "post": column.post}
        return {"source": dict(store.about), "column": told, "classes": list(self.rows.classes)}


def found_of(model: "Model", sets: Sets, args: Namespace) -> Found:
    """Everything, in order."""
    rows = filled(model, sets, args)
    layers, draws = layers_of(model, args.layers), drawn(rows, args)
    words = words_of(rows, args, draws) if args.classic else None
    trials = tried(rows, layers, args, draws, words)
    name = str(model.source.get("spec") or model.source.get("architecture") or "model")
    wrong = int((trials.best.predicted != rows.targets[rows.test]).sum())
    return Found(
        name=name.rstrip("/").split("/")[-1],
        rows=rows,
        trials=trials,
        mistakes=_mistakes(rows, trials.best, args) if wrong and args.shown else (),
        wrong=wrong,
        twins=_twins(rows, trials.best, args),
        map=_map(rows, trials.best, args),
        origins=origins_of(model, rows, trials.best.layer, args) if args.origins else None,
        kept=kept(model, rows, trials, args),
        words=words,
    )


def _map(rows: Rows, best: Trial, args: Namespace) -> FeatureMap | None:
    if args.map == "none" or len(rows.test) < FEWEST:
        return None
    features = rows.features(best.layer, args.pool)[rows.test]
    return feature_map(features, rows.targets[rows.test], how=args.map, seed=args.seed)


def _mistakes(rows: Rows, best: Trial, args: Namespace) -> tuple[Mistake, ...]:
    """The clearest: those whose own class scores furthest below the one they are taken for."""
    features = rows.features(best.layer, args.pool)
    targets = rows.targets[rows.test]
    wrong = (best.predicted != targets).nonzero()[:, 0]  # places among the test rows
    lead = _lead(best, features[rows.test[wrong]], targets[wrong])
    shown = wrong[lead.argsort(descending=True, stable=True)[: args.shown]]
    known, asked = features[rows.train], features[rows.test[shown]]
    labels, predicted = rows.targets[rows.train], best.predicted[shown]
    taken = nearest_of_class(known, labels, asked, predicted)
    own = nearest_of_class(known, labels, asked, targets[shown])
    return tuple(
        Mistake(
            int(rows.test[place]),
            int(predicted[number]),
            int(rows.train[taken.rows[number]]),
            float(taken.distances[number]),
            int(rows.train[own.rows[number]]),
            float(own.distances[number]),
        )
        for number, place in enumerate(shown.tolist())
    )


def _lead(best: Trial, features: Tensor, targets: Tensor) -> Tensor:
    """(n,): score of the class told less that of the true one."""
    scores = best.fit.probe.scores(features)
    places = torch.searchsorted(best.fit.probe.classes_, targets)
    return scores.amax(dim=1) - scores.gather(1, places[:, None])[:, 0]


def _twins(rows: Rows, best: Trial, args: Namespace) -> Twins:
    """Pairs across the sides that are the same picture, or the same file."""
    features = rows.features(rows.last, args.pool)
    known = {rows.contents[row]: row for row in reversed(rows.train.tolist())}
    pairs = {(known[key], row): 0.0 for row in rows.test.tolist() if (key := rows.contents[row]) in known}
    read, read_asked = partial(_picture, rows, rows.train), partial(_picture, rows, rows.test)
    found = same_pictures(features[rows.train], features[rows.test], read, read_asked, threshold=args.near)
    ends = zip(rows.train[found.pairs.first].tolist(), rows.test[found.pairs.second].tolist(), strict=True)
    pairs |= dict(zip(ends, found.pairs.distances.tolist(), strict=True))
    order = sorted(pairs, key=lambda pair: (pairs[pair], pair))
    train, test = torch.tensor(order, dtype=torch.int64).reshape(-1, 2).T
    same = torch.tensor([rows.contents[one] == rows.contents[other] for one, other in order], dtype=torch.bool)
    alone = ~torch.isin(rows.test, test)
    right = (best.predicted == rows.targets[rows.test])[alone]
    return Twins(
        train=train,
        test=test,
        distances=torch.tensor([pairs[pair] for pair in order], dtype=torch.float64),
        same=same,
        layer=rows.last,
        threshold=found.pairs.threshold,
        accuracy=proportion(int(right.sum()), len(right)) if len(right) else best.accuracy,
        is_listed=found.is_listed,
        note="; ".join(found.notes),
    )


def _picture(rows: Rows, side: Tensor, place: int) -> Tensor:
    """(C, H, W), in [0, 1], in its own size: of a place among the rows of one side."""
    some, number = rows.place(int(side[place]))
    return some.read(number).float() / 255
