"""The deep part of fifteen_scene.py: a network's features at several layers, and a linear machine on each."""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from pellucid.data import ImageSet, open_images
from pellucid.features import Store, near_duplicates
from pellucid.features.probes import LayerScore, LinearSVM, compare_layers
from pellucid.models import load

LAYERS = {
    "mobilenet_v2": ("features.4,features.7,features.11,features.14,features.17,features.18,classifier.1"),
    "squeezenet1_1": "features.5,features.8,features.9,features.10,features.11,features.12,classifier",
}
"""Of each network the ends of its blocks, then its class scores; maps are averaged over their places."""

Splitter = Callable[[Path, ImageSet, int | None], tuple[ImageSet, ImageSet]]
Row = dict[str, float]


def add_deep(part: argparse.ArgumentParser) -> None:
    part.add_argument("data", type=Path)
    part.add_argument("models", type=Path, nargs="+", help="model folders")
    part.add_argument("--seeds", type=int, default=5)
    part.add_argument("--layers", default="", help=f"with commas; known for {', '.join(LAYERS)}")
    part.add_argument(
        "--store", type=Path, required=True, help="folder that keeps the features; a folder a model in it"
    )
    part.add_argument("--bar", type=float, default=0.86, help="least mean accuracy of the first model")
    part.add_argument("--json", type=Path)


def deep(args: argparse.Namespace, split: Splitter) -> dict[str, list[Row]]:
    """Of each model a row a split: accuracies by layer, and of the layer that cross-validation chose."""
    every = open_images(args.data, split="all")
    found = {}
    for folder in args.models:
        layers = (args.layers or LAYERS[folder.name]).split(",")
        store = Store(args.store / folder.name)
        start = time.perf_counter()
        filled = store.fill(load(str(folder)), every, layers)
        print(
            f"\n{folder.name}: {filled.computed:,} pictures computed, {time.perf_counter() - start:.0f} s", flush=True
        )
        own = split(args.data, every, None)
        tell_twins(store, *own, layer=layers[-2])
        rows = [one_split(store, layers, *own, name="own split")]
        for seed in range(args.seeds):
            rows.append(one_split(store, layers, *split(args.data, every, seed), name=f"seed {seed}"))
        tell_means(rows[1:], layers)
        found[folder.name] = rows
    return found


def one_split(store: Store, layers: list[str], train: ImageSet, test: ImageSet, *, name: str) -> Row:
    mine, other = store.rows(train), store.rows(test)
    scores = compare_layers(
        LinearSVM(),
        {layer: store.tensor(layer, mine) for layer in layers},
        store.targets[mine],
        {layer: store.tensor(layer, other) for layer in layers},
        store.targets[other],
        contents=[store.hashes[row] for row in mine.tolist()],
        untuned=name == "own split",
    )
    best = max(scores, key=lambda score: score.validation or 0)
    print(f"\n{name}: {len(train):,} to learn from, {len(test):,} to judge; linear SVM, rows of length 1")
    print(f"{'layer':14}{'D':>6}{'raw':>8}{'l2':>8}{'best C':>8}{'CV':>8}{'test':>8}  95 % interval   seconds")
    for score in scores:
        print(line(score) + (" <- chosen by cross-validation" if score is best else ""), flush=True)
    row = {score.layer: share(score) for score in scores}
    return {**row, "chosen": share(best), "chosen CV": best.validation or 0.0}


def line(score: LayerScore) -> str:
    assert score.test is not None
    untuned = [f"{100 * one.value:8.1f}" if one else f"{'':8}" for one in (score.raw, score.normalised)]
    told = f"{score.layer:14}{score.dimension:6}{''.join(untuned)}{score.cost:8g}{100 * (score.validation or 0):8.1f}"
    test = score.test
    return f"{told}{100 * test.value:8.1f}  {100 * test.low:.1f} to {100 * test.high:.1f}{score.seconds:10.1f}"


def share(score: LayerScore) -> float:
    assert score.test is not None
    return score.test.value


def tell_means(rows: list[Row], layers: list[str]) -> None:
    for name in [*layers, "chosen"] if len(rows) > 1 else ():
        values = [100 * row[name] for row in rows]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        print(f"{name:14} mean of {len(rows)} drawn splits {mean:.2f}, sd {deviation:.2f}")


def tell_twins(store: Store, train: ImageSet, test: ImageSet, *, layer: str) -> None:
    """Pictures on both sides of the set's own split."""
    mine, other = store.rows(train), store.rows(test)
    first, second = store.tensor(layer, mine), store.tensor(layer, other)
    pairs = near_duplicates(first, second)
    same = sum(
        store.hashes[int(mine[one])] == store.hashes[int(other[two])]
        for one, two in zip(pairs.first, pairs.second, strict=True)
    )
    equal = int((pairs.distances < 1e-9).sum())
    print(
        f"on both sides of the own split, by {layer}: {len(pairs)} pairs within {pairs.threshold:g} (cosine), {equal} "
        f"at distance 0, {same} of them the same file"
    )
