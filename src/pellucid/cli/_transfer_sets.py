"""The pictures of one `pellucid transfer`: those learned from, those judged on, and their features in stores."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pellucid import data
from pellucid.data import ImageSet, Unreadable
from pellucid.features import Store, last_features
from pellucid.models.layers import map_layers

if TYPE_CHECKING:
    from pellucid.models import Model

LIMIT = 4 * 2**30
"""Bytes that the features of one layer may take in memory."""

MAPS = 3
"""Layers with maps that are taken where none is named, of the deepest resolutions."""


@dataclass(frozen=True)
class Sets:
    """Pictures before anything is decoded."""

    train: ImageSet
    test: ImageSet | None  # None: a part of the training set is held out


@dataclass(frozen=True)
class Rows:
    """Pictures whose features are there; both sides numbered together, the training set's first."""

    sets: Sets
    stores: tuple[Store, ...]  # of the training set, and of the test set where there is one
    classes: tuple[str, ...]
    files: tuple[str, ...]  # N, as shown
    targets: Tensor  # (N,), int64
    contents: tuple[str, ...]  # of each picture the hash of its bytes
    train: Tensor  # (n,), int64, rows
    test: Tensor  # (m,), int64, rows
    last: str  # the layer whose features tell near-duplicates
    places: tuple[Mapping[str, int], ...]  # of each set: file -> its place there
    computed: int  # pictures that were passed through the network now
    errors: tuple[Unreadable, ...]

    def __len__(self) -> int:
        """N."""
        return len(self.files)

    def features(self, layer: str, pool: str) -> Tensor:
        """(N, D), float32.

        Raises:
            ValueError: they take more than LIMIT bytes.
        """
        column = self.stores[0].column(layer, pool=pool, post="none")
        needed = 4 * len(self) * self.stores[0].columns[column]
        if needed > LIMIT:
            raise ValueError(
                f"features of {layer} take {needed:,} bytes for {len(self):,} pictures, and {LIMIT:,} are allowed: "
                "pool them with --pool gap, max or grid2"
            )
        return torch.cat([store.tensor(layer, pool=pool, post="none") for store in self.stores])

    def image(self, row: int, model: "Model") -> Tensor:
        """A picture (C, H, W) in [0, 1], as the model is given it."""
        some, place = self.place(row)
        return some.read(place, model.geometry).float() / 255

    def place(self, row: int) -> tuple[ImageSet, int]:
        """The set of a row, and its place there."""
        side = int(row >= len(self.stores[0]))
        some = self.sets.test if side and self.sets.test is not None else self.sets.train
        return some, self.places[side][self.files[row]]


def opened(args: Namespace) -> Sets:
    """Both sets, matched by the names of their classes.

    Raises:
        ValueError: a set without labels, a class to be told that is never learned, or twice the same pictures.
    """
    splits = _open(args.train, "all", args.class_level).splits
    first = args.split or ("train" if "train" in splits else "all")
    train = _with_labels(_open(args.train, first, args.class_level))
    if args.test is not None:
        test = _with_labels(_open(args.test, args.test_split or None, args.class_level))
        if Path(args.test) == Path(args.train) and train.split == test.split:
            raise ValueError(f"test must be other pictures than those learned from, but both are {test.path}")
        return Sets(train, _as_classes(test, train))
    second = args.test_split or next((name for name in ("test", "val") if name in splits and name != first), "")
    if args.test_split and (not splits or first == "all"):
        told = f"{args.train} has no splits" if not splits else "--split all leaves none"
        raise ValueError(f"test-split names {args.test_split!r}, but {told}: leave it out, and a part is held out")
    if second == first:
        raise ValueError(f"test-split must be another than the split learned from, got {second!r}")
    if not second or first == "all":
        return Sets(train, None)
    return Sets(train, _as_classes(_with_labels(_open(args.train, second, args.class_level)), train))


def filled(model: "Model", sets: Sets, args: Namespace) -> Rows:
    """Their features, computed where the stores lack them.

    Raises:
        ValueError: no such layer, another model's store, or a class without a picture on a side.
    """
    layers, last = layers_of(model, args.layers), last_features(model)
    place = Path(args.store or f"{Path(args.out)}-features")
    stores, computed, errors = [], 0, [*sets.train.errors, *(sets.test.errors if sets.test else ())]
    for name, some in (("train", sets.train), ("test", sets.test)):
        if some is not None:
            store = Store(place / name)
            done = store.fill(model, some, [*layers, last], pool=args.pool)
            stores.append(store)
            computed += done.computed
            errors += done.errors
    classes = sets.train.classes
    files, targets, contents = _read(stores, classes)
    train, test = _sides(targets, contents, len(stores[0]), sets, args)
    _check_learned(classes, targets, train, test)
    return Rows(
        sets=sets,
        stores=tuple(stores),
        classes=classes,
        files=files,
        targets=targets,
        contents=contents,
        train=train,
        test=test,
        last=last,
        places=tuple(
            {item.file: place for place, item in enumerate(some.items)} for some in (sets.train, sets.test) if some
        ),
        computed=computed,
        errors=tuple(dict.fromkeys(errors)),
    )


def layers_of(model: "Model", words: str) -> list[str]:
    """The layers that are named, or where none is: the deepest of each resolution, and what the last layer reads."""
    named = [name.strip() for name in words.split(",") if name.strip()]
    if named and named != ["auto"]:
        return list(dict.fromkeys(named))
    return list(dict.fromkeys([*reversed(map_layers(model)[:MAPS]), last_features(model)]))


def _open(path: str, split: str | None, class_level: int) -> ImageSet:
    if path == "digits" and not Path(path).exists():
        found: ImageSet = data.builtin("digits", split=split or "test")
        return replace(found, splits=("train", "test"))
    first = data.open_images(path, class_level=class_level)
    if split == "all" and not first.splits:
        return first
    return data.open_images(path, split=split, class_level=class_level)


def _with_labels(some: ImageSet) -> ImageSet:
    """Only what has a label."""
    places = [place for place, item in enumerate(some.items) if item.target is not None]
    if not places:
        raise ValueError(f"{some.path}: has no labels, which a probe learns: class folders or a labels.csv")
    lost = tuple(Unreadable(item.file, "has no label") for item in some.items if item.target is None)
    return replace(some.subset(places), errors=(*some.errors, *lost))


def _as_classes(test: ImageSet, train: ImageSet) -> ImageSet:
    """The test set with the classes of the training set, by name whatever the case."""
    number = {name.casefold(): place for place, name in enumerate(train.classes)}
    met = {item.target for item in test.items if item.target is not None}
    unknown = [test.classes[place] for place in sorted(met) if test.classes[place].casefold() not in number]
    if unknown:
        raise ValueError(
            f"{test.path}: every class must be learned, but {unknown[0]!r} is not among the {len(train.classes)} of "
            f"{train.path}"
        )
    places = [number.get(name.casefold()) for name in test.classes]
    items = tuple(replace(item, target=None if item.target is None else places[item.target]) for item in test.items)
    return replace(test, labels=train.labels, items=items)


def _read(stores: list[Store], classes: tuple[str, ...]) -> tuple[tuple[str, ...], Tensor, tuple[str, ...]]:
    """Files, targets in these classes, and hashes of the bytes."""
    number = {name: place for place, name in enumerate(classes)}
    targets = [torch.tensor([number[store.classes[t]] for t in store.targets.tolist()]) for store in stores]
    files = tuple(file for store in stores for file in store.files)
    return files, torch.cat(targets), tuple(key for store in stores for key in store.hashes)


def _sides(
    targets: Tensor, contents: tuple[str, ...], first: int, sets: Sets, args: Namespace
) -> tuple[Tensor, Tensor]:
    """Rows learned from and rows judged on."""
    if sets.test is not None:
        return torch.arange(first), torch.arange(first, len(targets))
    source = torch.Generator().manual_seed(args.seed)
    try:
        split = data.split_indices(targets, test=args.held, contents=contents, generator=source)
    except ValueError as error:
        counts = targets.bincount(minlength=len(sets.train.classes))
        rare = f"the rarest class is {sets.train.classes[int(counts.argmin())]}, with {int(counts.min())}"
        raise ValueError(
            f"held must leave every class pictures to learn from and to judge on: {error}; {rare}"
        ) from error
    return split.train, split.test


def _check_learned(classes: tuple[str, ...], targets: Tensor, train: Tensor, test: Tensor) -> None:
    learned = set(targets[train].tolist())
    if len(learned) < 2:
        raise ValueError(f"train must hold pictures of at least 2 classes, got {len(learned)}")
    lost = sorted(set(targets[test].tolist()) - learned)
    if lost:
        raise ValueError(f"every class must be learned, but no picture of {classes[lost[0]]!r} is in the training set")
    if not len(test):
        raise ValueError("test must hold at least one picture, got none")
