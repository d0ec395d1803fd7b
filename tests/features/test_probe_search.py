"""Grid search equals scikit-learn's GridSearchCV: choice and scores."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import Tensor

from pellucid.data import Fold, k_folds
from pellucid.features import grid_search
from pellucid.features.probes import (
    KernelSVM,
    LinearSVM,
    LogisticRegression,
    NearestNeighbours,
    Search,
    Searched,
)

from .blobs import apart, overlapping

COSTS = (0.01, 0.1, 1.0, 10.0)
SCALERS = {"l2": Normalizer, "standard": StandardScaler, "minmax": MinMaxScaler}


def peer(machine: Any, how: str, rows: Tensor, targets: Tensor, grid: dict[str, Any]) -> Any:
    """scikit-learn's own search over the same folds."""
    parts = [("scale", SCALERS[how]())] if how in SCALERS else []
    folds = [(fold.train.numpy(), fold.held.numpy()) for fold in k_folds(targets, folds=5)]
    line = Pipeline([*parts, ("machine", machine)])
    return GridSearchCV(line, {f"machine__{key}": value for key, value in grid.items()}, cv=folds).fit(
        rows.double().numpy(), targets.numpy()
    )


def assert_equal(found: Search, theirs: Any) -> None:
    means = found.accuracies.mean(dim=2).flatten()  # C outside, gamma inside, as theirs
    np.testing.assert_allclose(means, theirs.cv_results_["mean_test_score"], atol=1e-12)
    assert found.cost == theirs.best_params_["machine__C"]
    assert found.score == pytest.approx(theirs.best_score_)
    assert found.gamma == theirs.best_params_.get("machine__gamma")
    for fold in range(5):
        np.testing.assert_allclose(
            found.accuracies[:, :, fold].flatten(), theirs.cv_results_[f"split{fold}_test_score"], atol=1e-12
        )


@pytest.mark.parametrize("how", ["none", "l2", "standard", "minmax"])
@pytest.mark.parametrize("dimension", [12, 200])
def test_linear_machines(how: str, dimension: int) -> None:
    rows, targets = overlapping(dimension=dimension, spread=2.5)
    found = grid_search(LinearSVM(normalise=how), rows, targets, costs=COSTS)
    assert_equal(found, peer(LinearSVC(tol=1e-7, max_iter=10**6), how, rows, targets, {"C": COSTS}))


@pytest.mark.parametrize("how", ["l2", "standard"])
@pytest.mark.parametrize("kernel", ["rbf", "poly"])
def test_kernel_machines(how: str, kernel: str) -> None:
    rows, targets = overlapping(spread=2.5)
    probe = KernelSVM(kernel={"poly": "polynomial"}.get(kernel, kernel), normalise=how)
    found = grid_search(probe, rows, targets, costs=(0.1, 1, 10), gammas=("scale", 0.5, 0.05))
    grid = {"C": [0.1, 1, 10], "gamma": [0.05, 0.5, "scale"]}
    assert_equal(found, peer(SVC(kernel=kernel), how, rows, targets, grid))
    assert found.gammas == (0.05, 0.5, "scale")


def test_one_against_one_is_the_linear_kernel() -> None:
    rows, targets = overlapping(spread=2.5)
    found = grid_search(KernelSVM(kernel="linear"), rows, targets, costs=COSTS)
    assert found.gamma is None
    assert_equal(found, peer(SVC(kernel="linear"), "l2", rows, targets, {"C": COSTS}))


def test_a_precomputed_kernel_is_the_linear_one() -> None:
    rows, targets = overlapping(spread=2.5)
    rows = torch.nn.functional.normalize(rows, dim=1)
    linear, given = (
        grid_search(KernelSVM(kernel=kernel), table, targets, costs=(0.1, 1))
        for kernel, table in (("linear", rows), ("precomputed", rows.double() @ rows.double().T))
    )
    assert torch.equal(linear.accuracies, given.accuracies)


def test_logistic_regression() -> None:
    rows, targets = overlapping(spread=2.5)
    found = grid_search(LogisticRegression(), rows, targets, costs=COSTS)
    assert_equal(found, peer(Regression(solver="newton-cholesky", tol=1e-8), "l2", rows, targets, {"C": COSTS}))


def test_the_best_is_fitted_on_all_rows_and_the_probe_given_is_left() -> None:
    rows, targets = overlapping(spread=2.5)
    probe = LinearSVM(cost=7.0, intercept_scaling=2.0)
    found = grid_search(probe, rows, targets, costs=COSTS)
    again = LinearSVM(cost=found.cost, intercept_scaling=2.0).fit(rows, targets)
    assert isinstance(found.probe, LinearSVM)
    torch.testing.assert_close(found.probe.weight_, again.weight_)
    assert probe.cost == 7.0
    assert not hasattr(probe, "weight_")


def test_of_equal_costs_the_smallest() -> None:
    rows, targets = apart()
    found = grid_search(LinearSVM(), rows, targets, costs=(100, 1, 10, 1))
    assert found.costs == (1, 10, 100)
    assert (found.cost, found.score) == (1, 1)


def test_shuffled_labels_are_not_better_than_chance() -> None:
    rows, targets = overlapping(count=300, spread=0.5)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    assert grid_search(LinearSVM(), rows, targets).score > 0.8
    assert abs(grid_search(LinearSVM(), rows, targets[order], costs=(1,)).score - 1 / 3) < 0.1


def test_twins_stay_together() -> None:
    rows, targets = overlapping(count=60, spread=4.0)
    rows, targets = rows.repeat(2, 1), targets.repeat(2)
    keys = list(range(60)) * 2
    leaking = grid_search(LinearSVM(), rows, targets, costs=(100,)).score
    assert grid_search(LinearSVM(), rows, targets, costs=(100,), contents=keys).score < leaking


def test_folds_of_ones_own() -> None:
    rows, targets = overlapping()
    folds = k_folds(targets, folds=3, generator=torch.Generator().manual_seed(4))
    own = grid_search(LinearSVM(), rows, targets, costs=(1,), splits=folds)
    seeded = grid_search(LinearSVM(), rows, targets, costs=(1,), folds=3, generator=torch.Generator().manual_seed(4))
    assert torch.equal(own.accuracies, seeded.accuracies)


@pytest.mark.parametrize("multiclass", ["one_vs_one", "one_vs_rest"])
def test_a_class_that_a_fold_never_learns_is_never_told(multiclass: str) -> None:
    rows, targets = overlapping(count=60, spread=2.5)
    lone = targets == 1
    keys = [-1 if alone else row for row, alone in enumerate(lone.tolist())]  # all its rows are one picture
    for probe in (KernelSVM(multiclass=multiclass), LinearSVM(), LogisticRegression()):
        found = grid_search(probe, rows, targets, costs=(1,), folds=3, contents=keys)
        for number, fold in enumerate(k_folds(targets, folds=3, contents=keys)):
            machine = type(found.probe)(**{**vars(probe), "cost": 1}).fit(rows[fold.train], targets[fold.train])
            hits = machine.predict(rows[fold.held]) == targets[fold.held]
            assert found.accuracies[0, 0, number] == pytest.approx(float(hits.double().mean()))
            assert bool(lone[fold.held].any()) == (1 not in machine.classes_.tolist())


@pytest.mark.parametrize("probe", [KernelSVM(), LinearSVM(), LogisticRegression()])
def test_a_fold_that_learns_one_class_tells_that_one(probe: Searched) -> None:
    rows, targets = overlapping(count=60)
    alone = (targets == 2).nonzero()[:, 0]
    held = (targets != 2).nonzero()[:, 0]
    found = grid_search(probe, rows, targets, costs=(1, 10), splits=[Fold(alone, held), Fold(alone, alone)])
    assert found.accuracies[:, 0].tolist() == [[0, 1]] * 2


def test_refusals() -> None:
    rows, targets = overlapping()
    for wrong, told in (
        ([], "splits must hold at least one fold, got none"),
        ([Fold(torch.arange(120), torch.arange(0))], r"rows in \[0, 119\], got none as held of fold 0"),
        ([Fold(torch.arange(9), torch.arange(100, 121))], r"rows in \[0, 119\], got 100 to 120 as held of fold 0"),
    ):
        with pytest.raises(ValueError, match=told):
            grid_search(LinearSVM(), rows, targets, splits=wrong)
    with pytest.raises(ValueError, match="got none as train of fold 0"):
        grid_search(LinearSVM(), rows, targets, contents=["one"] * 120)
    few = torch.cat([torch.zeros(117, dtype=torch.int64), torch.full((3,), 9)])
    with pytest.raises(ValueError, match="at most the rows of the smallest class, got 5 for class 9 with 3"):
        grid_search(LinearSVM(), rows, few)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        grid_search(LinearSVM(), rows, targets, folds=1)
    with pytest.raises(ValueError, match="costs must hold at least one C, got none"):
        grid_search(LinearSVM(), rows, targets, costs=())
    with pytest.raises(ValueError, match="cost must be positive and finite, got -1"):
        grid_search(LinearSVM(), rows, targets, costs=(1, -1))
    with pytest.raises(ValueError, match="gammas must be empty for a probe without gamma"):
        grid_search(LinearSVM(), rows, targets, gammas=(1,))
    with pytest.raises(ValueError, match="gamma must be positive, or one of scale, auto, got 0"):
        grid_search(KernelSVM(), rows, targets, gammas=(0,))
    with pytest.raises(ValueError, match=r"probe must be LinearSVM, .*, got NearestNeighbours, which has no C"):
        grid_search(NearestNeighbours(), rows, targets)  # type: ignore[arg-type]
