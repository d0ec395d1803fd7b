"""The classic parts of fifteen_scene.py: dense SIFT, visual words or Fisher vectors, and a support vector machine."""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pellucid.classic import BagOfWords, Kernel, compare_kernels
from pellucid.classic.pyramid import NORMS, normed
from pellucid.data import ImageSet, open_images, split_indices
from pellucid.features.probes import KernelSVM, LinearSVM
from pellucid.metrics.classification import proportion

BARS = {"words, single": 0.70, "words, pyramid": 0.78, "fisher, pyramid": 0.78}
"""Least mean accuracy over the drawn splits."""

Splitter = Callable[[Path, ImageSet, int | None], tuple[ImageSet, ImageSet]]
Row = dict[str, float]


def add_classic(part: argparse.ArgumentParser) -> None:
    part.add_argument("data", type=Path)
    part.add_argument("--seeds", type=int, default=5)
    part.add_argument("--no-own", action="store_true", help="leave the set's own split out")
    part.add_argument("--bags", nargs="+", choices=("words", "fisher"), default=["words", "fisher"])
    part.add_argument("--side", type=int, default=160, help="of the pictures, in pixels")
    part.add_argument("--patch", type=int, default=16, help="side of the smallest patches, in pixels")
    part.add_argument("--scales", type=int, default=3, help="sizes of patches")
    part.add_argument("--stride", type=int, default=6)
    part.add_argument("--share", choices=("hard", "linear"), default="linear", help="of orientations and cells")
    part.add_argument("--words", type=int, default=1000)
    part.add_argument("--encoding", default="llc", help="of words")
    part.add_argument("--sigma", type=float, help="of soft encodings")
    part.add_argument("--pool", default="max", help="of words")
    part.add_argument("--levels", type=int, default=3, help="of the words' pyramid")
    part.add_argument("--kernel", choices=("linear", "intersection"), default="linear", help="on words")
    part.add_argument("--components", type=int, default=64, help="of Fisher vectors")
    part.add_argument("--fisher-levels", type=int, default=2, help="of the Fisher vectors' pyramid")
    part.add_argument("--cost", type=float, default=1.0)
    part.add_argument("--sample", type=int, default=100_000)
    part.add_argument("--limit", type=int, default=0, help="pictures of the test at most, for a quick look")
    part.add_argument("--json", type=Path)


def add_kernels(part: argparse.ArgumentParser) -> None:
    part.add_argument("data", type=Path)
    part.add_argument("--words", type=int, default=1000)
    part.add_argument("--side", type=int, default=256, help="of the pictures, in pixels")
    part.add_argument("--norm", choices=NORMS, default="l2", help="of the bags")
    part.add_argument("--multiclass", choices=("one_vs_one", "one_vs_rest"), default="one_vs_one")
    part.add_argument("--gamma", choices=("scale", "auto"), default="scale")
    part.add_argument("--seed", type=int, default=0)
    part.add_argument("--json", type=Path)


def classic(args: argparse.Namespace, split: Splitter) -> list[Row]:
    """A row a split: seconds, and the accuracy of single rows and of pyramids, the set's own split first."""
    every = open_images(args.data, split="all")
    found = []
    for seed in ([] if args.no_own else [None]) + list(range(args.seeds)):
        train, test = split(args.data, every, seed)
        if args.limit:
            test = test.subset(torch.linspace(0, len(test) - 1, args.limit).long().tolist())
        row: Row = {}
        for kind in args.bags:
            row |= one_bag(args, kind, train, test, seed or 0)
        found.append(row)
        name = "own split" if seed is None else f"seed {seed}"
        print(f"{name:10}", ", ".join(f"{key} {told(key, value)}" for key, value in row.items()), flush=True)
    drawn = found[len(found) - args.seeds :]
    for key in drawn[0] if len(drawn) > 1 else ():
        values = [row[key] for row in drawn]
        deviation = told(key, statistics.stdev(values))
        print(f"{key:18} mean of {len(drawn)} drawn splits {told(key, statistics.mean(values))}, sd {deviation}")
    return found


def below(args: argparse.Namespace, found: list[Row]) -> str:
    """Which mean over the drawn splits (the own one, where none is drawn) lies below its bar; empty for none."""
    drawn = found[len(found) - args.seeds :] if args.seeds else found
    means = {way: statistics.mean(row[way] for row in drawn) for way in BARS if way in drawn[0]}
    return ", ".join(f"{way} is below {BARS[way]:.0%}: {mean:.2%}" for way, mean in means.items() if mean < BARS[way])


def one_bag(args: argparse.Namespace, kind: str, train: ImageSet, test: ImageSet, seed: int) -> Row:
    """Seconds and accuracies; what is learned, words or mixture, is of the training pictures alone."""
    start = time.perf_counter()
    bag = made(args, kind).fit(train, generator=torch.Generator().manual_seed(seed))
    row = {f"{kind} learned s": time.perf_counter() - start}
    start = time.perf_counter()
    own, other = bag.features(train), bag.features(test)
    row[f"{kind} bags s"] = time.perf_counter() - start
    targets, asked_targets = train.targets[own.places], test.targets[other.places]
    parts = sum(4**level for level in range(bag.options["levels"]))
    for way, width in (("single", own.rows.shape[1] // parts), ("pyramid", own.rows.shape[1])):
        start = time.perf_counter()
        is_linear = kind == "fisher" or args.kernel == "linear"
        said = (linear if is_linear else intersection)(own.rows[:, :width], targets, other.rows[:, :width], args.cost)
        row[f"{kind}, {way}"] = float((said == asked_targets).double().mean())
        row[f"{kind}, {way} s"] = time.perf_counter() - start
        print(f"{kind}, {way}: {row[f'{kind}, {way}']:.2%}", file=sys.stderr, flush=True)
    return row


def made(args: argparse.Namespace, kind: str) -> BagOfWords:
    words = {
        "words": args.words,
        "encoding": args.encoding,
        "sigma": args.sigma,
        "pool": args.pool,
        "levels": args.levels,
    }
    fisher = {"words": args.components, "encoding": "fisher", "levels": args.fisher_levels}
    return BagOfWords(
        **(words if kind == "words" else fisher),
        norm="none" if kind == "words" else "l2",
        side=args.side,
        patch=args.patch,
        scales=args.scales,
        stride=args.stride,
        orientation=args.share,
        cells=args.share,
        sample=args.sample,
        starts=1,
        iterations=20,
    )


def linear(own: Tensor, targets: Tensor, other: Tensor, cost: float) -> Tensor:
    """What a linear machine on rows of length 1 says."""
    return LinearSVM(cost=cost, normalise="l2").fit(own, targets).predict(other)


def intersection(own: Tensor, targets: Tensor, other: Tensor, cost: float) -> Tensor:
    """What a machine on the intersections of histograms of sum 1 says."""
    mine, asked = normed(own, "l1"), normed(other, "l1")
    kernel = Kernel("intersection").fit(mine)
    return KernelSVM(kernel="precomputed", cost=cost).fit(kernel(mine), targets).predict(kernel(asked))


def told(key: str, value: float) -> str:
    return f"{value:.0f}" if key.endswith(" s") else f"{value:.2%}"


def kernels(args: argparse.Namespace) -> dict[str, object]:
    """Plain bags of words, and kernels by C: 70 % to learn from, 10 % to choose by, 20 % to judge the choice once."""
    every = open_images(args.data, split="all")
    generator = torch.Generator().manual_seed(args.seed)
    parts = split_indices(every.targets, val=0.1, test=0.2, generator=generator)
    train, held, test = (every.subset(some.tolist()) for some in (parts.train, parts.val, parts.test))
    start = time.perf_counter()
    bag = BagOfWords(words=args.words, side=args.side, norm=args.norm, starts=1).fit(train, generator=generator)
    print(f"{args.words} words of {len(train):,} pictures, {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    bags = [bag.features(some) for some in (train, held, test)]
    print(f"bags of {len(every):,} pictures, {time.perf_counter() - start:.0f} s", flush=True)
    targets = [some.targets[one.places] for some, one in zip((train, held, test), bags, strict=True)]
    start = time.perf_counter()
    options = {"multiclass": args.multiclass, "gamma": args.gamma}
    found = compare_kernels(bags[0], targets[0], bags[1], targets[1], **options)
    print(f"{len(found.accuracy)} kernels at {len(found.costs)} C, {time.perf_counter() - start:.0f} s\n")
    print(f"{'C':14}" + "".join(f"{cost:8g}" for cost in found.costs.tolist()))
    for kind, rates in found.accuracy.items():
        print(f"{kind:14}" + "".join(f"{100 * rate:8.1f}" for rate in rates.tolist()), flush=True)
    kernel = Kernel(found.kind, gamma=args.gamma).fit(bags[0].rows)
    machine = KernelSVM(kernel="precomputed", cost=found.cost, multiclass=args.multiclass)
    said = machine.fit(kernel(bags[0].rows), targets[0]).predict(kernel(bags[2].rows))
    right = proportion(int((said == targets[2]).sum()), len(said))
    print(f"\nchosen on {len(held)} pictures: {found.kind}, C = {found.cost:g}; on {len(test)} others ", end="")
    print(f"{right.value:.2%} ({right.low:.2%} to {right.high:.2%})")
    rows = {kind: rates.tolist() for kind, rates in found.accuracy.items()}
    chosen = {"kernel": found.kind, "cost": found.cost, "test": [right.value, right.low, right.high]}
    return {"costs": found.costs.tolist(), "validation": rows, "chosen": chosen}
