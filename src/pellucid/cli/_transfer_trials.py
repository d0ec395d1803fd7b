"""The trials of one `pellucid transfer`: every probe on every layer, its options chosen on training pictures alone."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid import data
from pellucid.audit.words import percent
from pellucid.checks import check_choice, check_count
from pellucid.data import Fold
from pellucid.features.normaliser import HOWS
from pellucid.features.probes import (
    COSTS,
    KernelSVM,
    LinearSVM,
    LogisticRegression,
    MLPHead,
    NearestNeighbours,
    Probe,
    Searched,
    grid_search,
)
from pellucid.metrics import Interval, proportion
from pellucid.progress import steps

from ._transfer_sets import Rows
from ._transfer_words import NAME as WORDS
from ._transfer_words import Words

NAMES = {
    "svm": "linear SVM",
    "rbf": "RBF SVM",
    "logistic": "logistic regression",
    "knn": "nearest neighbours",
    "mlp": "MLP head",
}
"""Probes, as people write them."""

NEIGHBOURS = (1, 3, 5, 10, 20)
"""k that are tried."""

Split: TypeAlias = tuple[Tensor, Tensor]
"""Rows learned from, (n,), and rows judged on, (m,), both int64."""


@dataclass(frozen=True)
class Fit:
    """A probe whose options were chosen, fitted on training rows."""

    probe: Probe
    chosen: str  # what was chosen, such as C = 5; "" where there was nothing to choose
    score: float  # mean accuracy over the folds, in [0, 1]


@dataclass(frozen=True)
class Trial:
    """One probe on one layer."""

    layer: str
    dimension: int
    kind: str  # svm, knn, ...
    normalise: str
    fit: Fit
    predicted: Tensor  # (m,), int64, of the test rows
    accuracy: Interval  # of the test rows
    seconds: float  # of choosing and fitting
    repeats: tuple[float, ...]  # test accuracies of the seeded splits, options chosen anew in each
    is_classic: bool = False  # of rows that no network made: for comparison, never the best

    @property
    def name(self) -> str:
        """Layer and probe."""
        return f"{self.layer}, {NAMES[self.kind]}"


@dataclass(frozen=True)
class Trials:
    """All of them, in the order of layers, normalisations and probes."""

    rows: tuple[Trial, ...]
    train: int  # pictures learned from
    test: int  # pictures judged on

    @property
    def best(self) -> Trial:
        """The one that did best over the folds of the training pictures; of equal ones the first."""
        return max(self.deep, key=lambda trial: trial.fit.score)

    @property
    def deep(self) -> tuple[Trial, ...]:
        """Those on layers of the network."""
        return tuple(trial for trial in self.rows if not trial.is_classic)

    @property
    def classic(self) -> Trial | None:
        """The best of those without a network; None where none was asked for."""
        rows = [trial for trial in self.rows if trial.is_classic]
        return max(rows, key=lambda trial: trial.fit.score, default=None)


def check_asked(args: Namespace) -> None:
    """Refuse words that name no probe or normalisation, and numbers out of range."""
    for name, choices in (("probe", NAMES), ("normalise", HOWS)):
        words = names_of(getattr(args, name))
        if not words:
            raise ValueError(f"{name} must name at least one of {', '.join(choices)}")
        for word in words:
            check_choice(name, word, choices)
    for cost in costs_of(args.costs):
        if not 0 < cost < float("inf"):
            raise ValueError(f"costs must be positive and finite, got {cost:g}")
    check_count("folds", args.folds, 2)
    check_count("repeats", args.repeats, 0, 100)


def names_of(words: str) -> list[str]:
    """Words between commas, each once."""
    return list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))


def costs_of(words: str) -> tuple[float, ...]:
    """Values of C between commas; those usual where there is none."""
    try:
        return tuple(float(word) for word in names_of(words)) or COSTS
    except ValueError as error:
        raise ValueError(f"costs must be numbers between commas, got {words!r}") from error


def tried(
    rows: Rows, layers: Sequence[str], args: Namespace, draws: Sequence[Split], words: Words | None = None
) -> Trials:
    """Every probe on every layer, and on visual words where there are any.

    Args:
        rows: pictures.
        layers: of the network.
        args: probes, normalisations, folds, costs.
        draws: drawn splits, from `drawn`.
        words: of the split given and of every drawn one.
    """
    kinds, hows = names_of(args.probe), names_of(args.normalise)
    found = []
    with steps("fitting", (len(layers) + bool(words)) * len(hows) * len(kinds) * (1 + len(draws))) as done:
        for layer in layers:
            features = rows.features(layer, args.pool)
            for how in hows:
                for kind in kinds:
                    by_split = [features] * (1 + len(draws))
                    found.append(_trial((layer, kind, how), by_split, rows, args, draws=draws, done=done))
        if words is not None:
            for how in hows:
                for kind in kinds:
                    own = (words.features(split) for split in range(1 + len(draws)))
                    trial = _trial((WORDS, kind, how), own, rows, args, draws=draws, done=done)
                    found.append(replace(trial, is_classic=True))
    return Trials(tuple(found), len(rows.train), len(rows.test))


def drawn(rows: Rows, args: Namespace) -> list[Split]:
    """As many splits of all pictures as were asked for: of each class as many to learn from as in the split given."""
    return [_drawn(rows, args.seed + number) for number in range(args.repeats)]


def repeated(trial: Trial) -> str:
    """Mean and standard deviation over the drawn splits."""
    if len(trial.repeats) == 1:
        return percent(trial.repeats[0])
    return f"{100 * fmean(trial.repeats):.1f} ± {100 * stdev(trial.repeats):.1f} %"


def _trial(
    names: tuple[str, str, str],
    features: Iterable[Tensor],
    rows: Rows,
    args: Namespace,
    *,
    draws: Sequence[Split],
    done: Callable[[int], None],
) -> Trial:
    """Features are those of the split given, then of each drawn one."""
    layer, kind, how = names
    by_split = iter(features)
    own = next(by_split)
    start = time.perf_counter()
    fit = _fitted((kind, how), own, rows, rows.train, args)
    seconds = time.perf_counter() - start
    done(1)
    predicted = fit.probe.predict(own[rows.test])
    hits = int((predicted == rows.targets[rows.test]).sum())
    repeats = []
    for (train, test), other in zip(draws, by_split, strict=True):
        again = _fitted((kind, how), other, rows, train, args).probe.predict(other[test])
        repeats.append(float((again == rows.targets[test]).double().mean()))
        done(1)
    accuracy = proportion(hits, len(rows.test))
    return Trial(layer, own.shape[1], kind, how, fit, predicted, accuracy, seconds, tuple(repeats))


def _fitted(names: tuple[str, str], features: Tensor, rows: Rows, train: Tensor, args: Namespace) -> Fit:
    """A probe whose options are chosen by cross-validation on these training rows, fitted on all of them."""
    kind, how = names
    some, targets = features[train], rows.targets[train]
    contents = [rows.contents[row] for row in train.tolist()]
    splits = folds_of(targets, contents, rows.classes, args)
    if kind in {"svm", "rbf", "logistic"}:
        made: dict[str, Searched] = {
            "svm": LinearSVM(normalise=how),
            "rbf": KernelSVM(kernel="rbf", normalise=how),
            "logistic": LogisticRegression(normalise=how),
        }
        search = grid_search(made[kind], some, targets, costs=costs_of(args.costs), splits=splits)
        return Fit(search.probe, f"C = {search.cost:g}", search.score)
    if kind == "knn":
        return _neighbours(how, some, targets, splits)
    scores = []
    for number, fold in enumerate(splits):
        source = torch.Generator().manual_seed(args.seed + number)
        own = [contents[row] for row in fold.train.tolist()]
        head = MLPHead(normalise=how).fit(some[fold.train], targets[fold.train], contents=own, generator=source)
        scores.append(_right(head, some[fold.held], targets[fold.held]))
    source = torch.Generator().manual_seed(args.seed)
    whole = MLPHead(normalise=how).fit(some, targets, contents=contents, generator=source)
    return Fit(whole, f"epoch {whole.best_epoch_}", sum(scores) / len(scores))


def _neighbours(how: str, some: Tensor, targets: Tensor, splits: Sequence[Fold]) -> Fit:
    """k by cross-validation; of equal ones the smallest."""
    least = min(len(fold.train) for fold in splits)
    best = (-1.0, 0)
    for count in (count for count in NEIGHBOURS if count <= least):
        scores = []
        for fold in splits:
            probe = NearestNeighbours(neighbours=count, normalise=how).fit(some[fold.train], targets[fold.train])
            scores.append(_right(probe, some[fold.held], targets[fold.held]))
        best = max(best, (sum(scores) / len(scores), -count))
    count = -best[1]
    whole = NearestNeighbours(neighbours=count, normalise=how).fit(some, targets)
    return Fit(whole, f"k = {count}", best[0])


def folds_of(targets: Tensor, contents: Sequence[str], classes: Sequence[str], args: Namespace) -> list[Fold]:
    """Folds, every class in proportion, equal files together; the same for every probe and layer."""
    counts = targets.bincount()
    small = int(torch.where(counts > 0, counts, counts.max() + 1).argmin())
    if counts[small] < args.folds:
        raise ValueError(
            f"folds must be at most the pictures of the smallest class, got {args.folds} for {classes[small]!r} with "
            f"{int(counts[small])}"
        )
    source = torch.Generator().manual_seed(args.seed)
    return data.k_folds(targets, folds=args.folds, contents=contents, generator=source)


def _drawn(rows: Rows, seed: int) -> Split:
    """Training and test rows drawn from all: of each class as many to learn from as in the split given.

    Copies of what is learned from are not judged on.
    """
    source = torch.Generator().manual_seed(seed)
    sizes = rows.targets[rows.train].bincount(minlength=len(rows.classes)).tolist()
    learned = []
    for number, size in enumerate(sizes):
        own = (rows.targets == number).nonzero()[:, 0]
        learned.append(own[torch.randperm(len(own), generator=source)[:size]])
    train = torch.cat(learned).sort().values
    rest = torch.ones(len(rows), dtype=torch.bool)
    rest[train] = False
    known = {rows.contents[row] for row in train.tolist()}
    rest &= torch.tensor([key not in known for key in rows.contents])
    return train, rest.nonzero()[:, 0]


def _right(probe: Probe, features: Tensor, targets: Tensor) -> float:
    """Share told right."""
    return float((probe.predict(features) == targets).double().mean())
