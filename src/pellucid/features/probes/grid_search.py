"""Grid search: the C, and the gamma, whose probe does best on rows held out.

M. Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", Journal of the Royal Statistical
Society B 36, 1974. https://doi.org/10.1111/j.2517-6161.1974.tb00994.x

Exact, and fast where work is shared: the inner products of all rows are taken once and serve every fold, C and gamma;
the linear machines of all folds and classes are solved together, each C from the optimum of the one before.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_count
from pellucid.data import Fold, k_folds
from pellucid.features.normaliser import Rows

from ._cross_validated import kernel_hits, linear_hits, regression_hits
from ._labelled import Labelled, labelled
from ._options import with_options
from .kernel_svm import KernelSVM, check_gamma, check_rows
from .linear_svm import LinearSVM, check_cost
from .logistic_regression import LogisticRegression

Searched: TypeAlias = LinearSVM | KernelSVM | LogisticRegression

COSTS = (0.01, 0.1, 1.0, 5.0, 10.0, 100.0)
"""The grid of C where none is given."""


@dataclass(frozen=True)
class Search:
    """What a grid search found."""

    probe: Searched  # with the best options, fitted on all rows
    cost: float  # the best C; of equal ones the smallest
    gamma: float | str | None  # the best gamma; None where the probe has none
    score: float  # its mean accuracy over the folds, in [0, 1]
    costs: tuple[float, ...]  # C, rising
    gammas: tuple[float | str, ...]  # numbers rising, then words; empty where the probe has none
    accuracies: Tensor  # (C, G, F), float64, of each C, gamma (G = 1 where there is none) and fold
    seconds: float  # of searching and fitting


def grid_search(
    probe: Searched,
    features: Rows,
    targets: Tensor,
    *,
    costs: Sequence[float] = COSTS,
    gammas: Sequence[float | str] = (),
    folds: int = 5,
    contents: Sequence[Hashable] | None = None,
    splits: Sequence[Fold] | None = None,
    generator: torch.Generator | None = None,
) -> Search:
    """Choose C, and gamma, by stratified cross-validation, and fit with them on all rows.

    What a probe learns besides, its normalisation and its gamma "scale", is learned in each fold from its training
    rows alone. Best is the highest mean accuracy; of equal ones the smallest C, then the smallest gamma.

    Args:
        probe: LinearSVM, KernelSVM or LogisticRegression, whose other options are kept; left as it is.
        features: (N, D), float, finite; for a precomputed kernel (N, N), its values among the rows.
        targets: (N,), whole numbers, at least two different ones, each in at least `folds` rows.
        costs: C to try, positive.
        gammas: gammas to try, for a KernelSVM that has one; empty: the probe's own.
        folds: K, at least 2.
        contents: a key for each row, equal for twins, which then stay together; see `data.k_folds`.
        splits: train and held rows of each fold, to take those instead.
        generator: of the folds; None takes one of seed 0.

    Raises:
        ValueError: an argument is not as above; a class with fewer rows than folds is named.
    """
    start = time.perf_counter()
    if not isinstance(probe, LinearSVM | KernelSVM | LogisticRegression):
        raise ValueError(
            f"probe must be LinearSVM, KernelSVM or LogisticRegression, got {type(probe).__name__}, which has no C"
        )
    costs, gammas = _checked(probe, costs, gammas)
    known = labelled(features, targets)
    splits = _folds(known, folds, contents, generator) if splits is None else splits
    _check_splits(splits, len(known.rows))
    hits = _hits(probe, known, costs, gammas, splits)  # (C, G, F)
    accuracies = hits.double() / torch.tensor([len(fold.held) for fold in splits])
    means = accuracies.mean(dim=2)
    place = int((means >= means.max() - 1e-12).flatten().nonzero()[0])
    cost, gamma = costs[place // means.shape[1]], gammas[place % means.shape[1]] if gammas else None
    best = with_options(probe, cost=cost) if gamma is None else with_options(probe, cost=cost, gamma=gamma)
    best.fit(known.rows, targets)
    score = float(means.flatten()[place])
    return Search(best, cost, gamma, score, costs, gammas, accuracies, time.perf_counter() - start)


def _checked(
    probe: Searched, costs: Sequence[float], gammas: Sequence[float | str]
) -> tuple[tuple[float, ...], tuple[float | str, ...]]:
    """Both grids, rising, each value once."""
    if not costs:
        raise ValueError("costs must hold at least one C, got none")
    for cost in costs:
        check_cost(cost)
    for gamma in gammas:
        check_gamma(gamma)
    own: tuple[float | str, ...] = ()
    if isinstance(probe, KernelSVM) and probe.kernel in {"rbf", "polynomial", "sigmoid"}:
        own = (probe.gamma,)
    if gammas and not own:
        raise ValueError(f"gammas must be empty for a probe without gamma, got {list(gammas)}")
    numbers = sorted({float(gamma) for gamma in gammas if not isinstance(gamma, str)})
    words = dict.fromkeys(gamma for gamma in gammas if isinstance(gamma, str))
    return tuple(sorted({float(cost) for cost in costs})), (*numbers, *words) or own


def _folds(
    known: Labelled, folds: int, contents: Sequence[Hashable] | None, generator: torch.Generator | None
) -> list[Fold]:
    check_count("folds", folds, 2)
    counts = known.numbers.bincount()
    small = int(counts.argmin())
    if counts[small] < folds:
        raise ValueError(
            f"folds must be at most the rows of the smallest class, got {folds} for class "
            f"{int(known.classes[small])} with {int(counts[small])}"
        )
    return k_folds(known.numbers.cpu(), folds=folds, contents=contents, generator=generator)


def _check_splits(splits: Sequence[Fold], count: int) -> None:
    """Refuse no fold at all, and one without rows on a side (all are twins) or with rows that there are not."""
    if not splits:
        raise ValueError("splits must hold at least one fold, got none")
    for number, fold in enumerate(splits):
        for side, rows in (("train", fold.train), ("held", fold.held)):
            if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= count:
                told = f"{int(rows.min())} to {int(rows.max())}" if len(rows) else "none"
                raise ValueError(f"splits must name rows in [0, {count - 1}], got {told} as {side} of fold {number}")


def _hits(
    probe: Searched,
    known: Labelled,
    costs: Sequence[float],
    gammas: Sequence[float | str],
    splits: Sequence[Fold],
) -> Tensor:
    """Held-out rows that are told right, (C, G, F), int64."""
    if isinstance(probe, LinearSVM):
        return linear_hits(probe, known, costs, splits)[:, None]
    if isinstance(probe, LogisticRegression):
        return regression_hits(probe, known, costs, splits)[:, None]
    check_rows(known, is_square=probe.kernel == "precomputed")
    return kernel_hits(probe, known, costs, gammas or (1.0,), splits)
