"""How many words: by the bend of the error, by silhouettes, or by the gap to structureless data.

P. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20, 1987,
https://doi.org/10.1016/0377-0427(87)90125-7; R. Tibshirani, G. Walther, T. Hastie, "Estimating the Number of Clusters
in a Data Set via the Gap Statistic", Journal of the Royal Statistical Society B 63(2), 2001, sections 3 and 4,
https://doi.org/10.1111/1467-9868.00293.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.progress import steps

from ._means import cluster
from ._rows import as_descriptors, nearest

CRITERIA = ("elbow", "silhouette", "gap")

LEAST = {"elbow": 3, "silhouette": 1, "gap": 2}
"""How many numbers each needs to choose among."""


@dataclass(frozen=True)
class WordChoice:
    """A curve over numbers of words, and the number it speaks for.

    Fields:
        counts: (C,), int64, rising.
        values: (C,), float64: sum of squared distances (elbow), mean silhouette in [-1, 1], or gap, in nats.
        errors: (C,), float64, of the gap: s, one deviation with the simulation's own; zeros for the others.
        best: the number chosen.
    """

    counts: Tensor
    values: Tensor
    errors: Tensor
    best: int


def choose_words(
    descriptors: Tensor,
    counts: Sequence[int],
    *,
    criterion: str = "elbow",
    sample: int = 10_000,
    references: int = 10,
    box: str = "pca",
    starts: int = 3,
    iterations: int = 100,
    generator: torch.Generator | None = None,
) -> WordChoice:
    """Cluster descriptors into several numbers of words and choose one.

    elbow: the number furthest below the straight line from the curve's first point to its last. silhouette: the largest
    mean of (b - a) / max(a, b), a the mean distance to the own cluster, b to the nearest other. gap: the smallest
    number whose gap is at least the next one's less its error; the largest gap where there is none.

    Args:
        descriptors: (..., D), float; zeros are left out.
        counts: numbers of words to try: at least 3 for elbow, 2 for gap; from 2 on for silhouette.
        criterion: elbow, silhouette or gap.
        sample: descriptors taken at random, at most; the silhouette needs the square of that in distances.
        references: sets without structure that the gap is measured against, at least 2.
        box: what these fill evenly: pca (the descriptors' extent along their main directions) or bounds (along axes).
        starts: of k-means.
        iterations: of k-means.
        generator: of every choice; None is seed 0.

    Raises:
        ValueError: too few numbers, more words than different descriptors, or an option is out of its range.
    """
    check_choice("criterion", criterion, CRITERIA)
    check_choice("box", box, ("pca", "bounds"))
    options = {"sample": sample, "references": references, "starts": starts, "iterations": iterations}
    for name, whole in options.items():
        check_count(name, whole, 2 if name == "references" else 1)
    rising = sorted(set(counts))
    if len(rising) < LEAST[criterion]:
        told = f"counts must be at least {LEAST[criterion]} different numbers for {criterion}"
        raise ValueError(f"{told}, got {list(counts)}")
    for number in rising:
        check_count("counts", number, 2 if criterion == "silhouette" else 1)
    rows = as_descriptors(descriptors).float()
    rows = rows[rows.any(dim=1)]
    source = generator if generator is not None else torch.Generator().manual_seed(0)
    if len(rows) > sample:
        rows = rows[torch.randperm(len(rows), generator=source, device=source.device)[:sample].to(rows.device)]
    if not len(rows):
        raise ValueError("descriptors must not all be zeros: the images are flat, or floor is too high")
    different = len(torch.unique(rows, dim=0))
    if criterion != "elbow" and rising[-1] >= different:
        told = f"counts must be below the {different} different descriptors there are, for {criterion}"
        raise ValueError(f"{told}, got {rising[-1]}: take fewer words or more descriptors")
    clustered = partial(_clustered, starts=starts, iterations=iterations, generator=source)
    values, errors = [], []
    with steps("numbers of words", len(rising)) as done:
        for count in rising:
            place, error = clustered(rows, count)
            value, spread = error, 0.0
            if criterion == "silhouette":
                value = _silhouette(rows, place)
            elif criterion == "gap":
                others = [clustered(_reference(rows, box, source), count)[1] for _ in range(references)]
                value, spread = _gap(error, others)
            values.append(value)
            errors.append(spread)
            done(1)
    curve, wide = torch.tensor(values, dtype=torch.float64), torch.tensor(errors, dtype=torch.float64)
    numbers = torch.tensor(rising)
    return WordChoice(numbers, curve, wide, rising[_best(numbers, curve, wide, criterion)])


def _clustered(
    rows: Tensor, count: int, *, starts: int, iterations: int, generator: torch.Generator
) -> tuple[Tensor, float]:
    """The cluster of each row (M,), and the sum of squared distances."""
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    place, squares = nearest(rows, cluster(rows, count, starts, iterations, seed))
    return place, float(squares.double().sum())


def _silhouette(rows: Tensor, place: Tensor) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(rows.cpu().numpy(), place.cpu().numpy()))


def _gap(error: float, others: Sequence[float]) -> tuple[float, float]:
    """How far the log of the error lies below that of the references, and one deviation of these."""
    logs = torch.tensor(others, dtype=torch.float64).log()
    return float(logs.mean()) - math.log(error), float(logs.std(correction=0)) * math.sqrt(1 + 1 / len(others))


def _reference(rows: Tensor, box: str, generator: torch.Generator) -> Tensor:
    """As many rows, spread evenly over the box."""
    mean = rows.mean(dim=0)
    centred = rows - mean
    axes = torch.linalg.svd(centred, full_matrices=False)[2].T if box == "pca" else torch.eye(rows.shape[1]).to(rows)
    shown = centred @ axes
    low, high = shown.amin(dim=0), shown.amax(dim=0)
    even = torch.rand(shown.shape, generator=generator, device=generator.device).to(rows)
    return (low + even * (high - low)) @ axes.T + mean


def _best(counts: Tensor, values: Tensor, errors: Tensor, criterion: str) -> int:
    """The place of the number chosen."""
    if criterion == "silhouette":
        return int(values.argmax())
    if criterion == "gap":
        enough = (values[:-1] >= values[1:] - errors[1:]).nonzero()[:, 0]
        return int(enough[0]) if len(enough) else int(values.argmax())
    along = (counts - counts[0]).double() / (counts[-1] - counts[0])
    fall = (values - values[-1]) / (values[0] - values[-1]).clamp(min=1e-300)
    return int((1 - along - fall).argmax())  # the chord runs from (0, 1) to (1, 0)
