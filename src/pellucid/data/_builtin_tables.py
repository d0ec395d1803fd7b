"""The tables of `builtin`: two drawn by a formula, one measured.

R. A. Fisher, "The Use of Multiple Measurements in Taxonomic Problems", Annals of Eugenics 7, 1936 (iris).
https://doi.org/10.1111/j.1469-1809.1936.tb02137.x
"""

import numpy as np
import torch

from .splits import content_keys, split_indices
from .tables import Table

NOISE = 0.15
"""Standard deviation of the normal noise on both coordinates of circles and moons; the outer radius is 1."""

COUNTS = {"train": 200, "test": 2000}
"""Points of circles and moons, half of them of each class."""


def builtin_table(name: str, split: str, seed: int) -> Table:
    """See `builtin`."""
    return _iris(split, seed) if name == "iris" else _drawn(name, split, seed)


def _iris(split: str, seed: int) -> Table:
    from sklearn.datasets import load_iris

    iris = load_iris()
    whole = Table(
        path="iris",
        columns=tuple(str(name) for name in iris.feature_names),
        values=torch.from_numpy(iris.data.astype(np.float64)),
        targets=torch.from_numpy(iris.target.astype(np.int64)),
        classes=tuple(str(name) for name in iris.target_names),
        rows=torch.arange(1, len(iris.target) + 1),
        target="species",
    )
    if split == "all":
        return whole
    keys, generator = content_keys(whole.values), torch.Generator().manual_seed(seed)
    parts = split_indices(whole.targets, test=0.2, contents=keys, generator=generator)
    return whole.subset(parts.train if split == "train" else parts.test)


def _drawn(name: str, split: str, seed: int) -> Table:
    """Train and test come from one stream of random numbers, one after the other, so that they share no noise."""
    from sklearn.datasets import make_circles, make_moons

    stream = np.random.RandomState(seed)
    parts = {}
    for part, count in COUNTS.items():
        if name == "circles":
            parts[part] = make_circles(count, factor=0.5, noise=NOISE, random_state=stream)
        else:
            parts[part] = make_moons(count, noise=NOISE, random_state=stream)
    values = np.concatenate([points for points, _ in parts.values()])  # (2200, 2)
    targets = np.concatenate([labels for _, labels in parts.values()])
    chosen = {"train": slice(COUNTS["train"]), "test": slice(COUNTS["train"], None), "all": slice(None)}[split]
    return Table(
        path=name,
        columns=("x", "y"),
        values=torch.from_numpy(values[chosen].astype(np.float64)),
        targets=torch.from_numpy(targets[chosen].astype(np.int64)),
        classes=("outer", "inner") if name == "circles" else ("upper", "lower"),
        rows=torch.arange(1, len(values) + 1)[chosen],
    )
