"""Linear probes: against LIBLINEAR and scikit-learn, and by what must hold of an optimum."""

import warnings

import pytest
import torch
from sklearn.linear_model import LogisticRegression as Regression
from sklearn.svm import LinearSVC

from pellucid.features.probes import LinearSVM, LogisticRegression
from pellucid.features.probes._squared_hinge import basis, solve

from .blobs import apart, overlapping


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("dimension", [12, 200])  # fewer columns than rows, and more
def test_equals_liblinear(cost: float, dimension: int) -> None:
    rows, targets = overlapping(dimension=dimension)
    peer = LinearSVC(C=cost, tol=1e-9, max_iter=10**6).fit(rows.double().numpy(), targets.numpy())
    found = LinearSVM(cost=cost, normalise="none").fit(rows, targets)
    assert found.gap_ < 1e-10
    wanted = torch.from_numpy(peer.decision_function(rows.double().numpy())).float()
    torch.testing.assert_close(found.scores(rows), wanted, atol=2e-4, rtol=1e-4)
    assert torch.equal(found.predict(rows), torch.from_numpy(peer.predict(rows.double().numpy())))


@pytest.mark.parametrize("dimension", [12, 200])
def test_the_bias_is_the_weight_of_a_constant(dimension: int) -> None:
    rows, targets = overlapping(dimension=dimension)
    peer = LinearSVC(intercept_scaling=5.0, tol=1e-9, max_iter=10**6).fit(rows.double().numpy(), targets.numpy())
    found = LinearSVM(normalise="none", intercept_scaling=5.0).fit(rows, targets)
    torch.testing.assert_close(found.bias_, torch.from_numpy(peer.intercept_).float(), atol=1e-4, rtol=1e-3)
    without = LinearSVM(normalise="none", intercept_scaling=0.0).fit(rows, targets)
    assert torch.equal(without.bias_, torch.zeros(3))


def test_the_gradient_vanishes_at_the_optimum() -> None:
    rows, targets = overlapping(dimension=40)
    found = LinearSVM(cost=3.0, normalise="none").fit(rows, targets)
    signs = (targets[:, None] == torch.arange(3)).double() * 2 - 1
    weight, bias = found.weight_.double().requires_grad_(), found.bias_.double().requires_grad_()
    hinge = (1 - signs * (rows.double() @ weight.T + bias)).clamp(min=0)
    objective = 0.5 * (weight.square().sum() + bias.square().sum()) + 3 * hinge.square().sum()
    for slope in torch.autograd.grad(objective, (weight, bias)):
        assert slope.abs().max() < 1e-4


def test_the_two_ways_to_a_newton_step_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.features.probes import _squared_hinge

    rows, targets = overlapping(dimension=40)
    turned = basis(rows, constant=1.0)
    signs = (targets[:, None] == torch.arange(3)).double() * 2 - 1
    both = solve(turned, signs, 1.0)

    def none_found(_basis: object, signs: torch.Tensor, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(41, signs.shape[1], dtype=torch.float64), torch.zeros(signs.shape[1], dtype=torch.bool)

    monkeypatch.setattr(_squared_hinge, "_by_cholesky", none_found)
    alone = solve(turned, signs, 1.0)
    assert float(alone.gap.max()) < 1e-10
    torch.testing.assert_close(alone.scores, both.scores, atol=1e-5, rtol=1e-5)


def test_machines_solved_together_are_machines_solved_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.features.probes import _squared_hinge

    rows, targets = overlapping(dimension=40)
    turned = basis(rows, constant=1.0)
    signs = (targets[:, None] == torch.arange(3)).double() * 2 - 1
    signs[::5, 1] = 0  # rows left out of one of them
    together = solve(turned, signs, 1.0).scores
    monkeypatch.setattr(_squared_hinge, "AT_ONCE", 1)
    torch.testing.assert_close(solve(turned, signs, 1.0).scores, together, atol=1e-6, rtol=1e-6)
    kept = signs[:, 1] != 0
    smaller = solve(basis(rows[kept], constant=1.0), signs[kept, 1:2], 1.0).scores
    torch.testing.assert_close(smaller[:, 0], together[kept, 1], atol=1e-5, rtol=1e-5)


def test_all_rows_twice_is_twice_the_cost() -> None:
    rows, targets = overlapping()
    twice = LinearSVM(cost=0.5).fit(rows.repeat(2, 1), targets.repeat(2))
    torch.testing.assert_close(twice.weight_, LinearSVM(cost=1.0).fit(rows, targets).weight_, atol=1e-5, rtol=1e-4)


def test_a_larger_cost_fits_more_closely() -> None:
    rows, targets = overlapping()
    loose, close = (LinearSVM(cost=cost).fit(rows, targets) for cost in (0.01, 100.0))
    assert loose.weight_.norm() < close.weight_.norm()


@pytest.mark.parametrize("how", ["none", "l2", "standard", "minmax"])
def test_classes_that_stand_apart_are_told(how: str) -> None:
    rows, targets = apart()
    for probe in (LinearSVM(normalise=how), LogisticRegression(normalise=how)):
        assert torch.equal(probe.fit(rows, targets).predict(rows), targets)


def test_scaling_rows_changes_nothing_under_l2() -> None:
    rows, targets = overlapping()
    factors = torch.rand(len(rows), 1, generator=torch.Generator().manual_seed(3)) * 9 + 0.1
    plain, scaled = (LinearSVM().fit(some, targets).scores(some) for some in (rows, rows * factors))
    torch.testing.assert_close(plain, scaled, atol=1e-4, rtol=1e-3)


def test_labels_may_be_any_whole_numbers() -> None:
    rows, targets = apart()
    names = torch.tensor([7, -2, 40])
    found = LinearSVM().fit(rows, names[targets].to(torch.int32))
    assert found.classes_.tolist() == [-2, 7, 40]
    assert torch.equal(found.predict(rows), names[targets])


def test_equal_rows_of_different_classes_and_huge_rows_still_converge() -> None:
    rows, targets = overlapping(dimension=150)
    rows[60:] = rows[:60]
    targets = torch.cat([targets[:60], (targets[:60] + 1) % 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = LinearSVM(cost=100.0, normalise="none").fit(rows * 30, targets)
    assert found.gap_ < 1e-6


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_equals_scikit_learn(classes: int) -> None:
    rows, targets = overlapping(classes=classes)
    peer = Regression(C=2.0, solver="newton-cholesky", tol=1e-8).fit(rows.double().numpy(), targets.numpy())
    found = LogisticRegression(cost=2.0, normalise="none").fit(rows, targets)
    wanted = torch.from_numpy(peer.predict_proba(rows.double().numpy())).float()
    torch.testing.assert_close(found.scores(rows).softmax(dim=1), wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("probe", [LinearSVM(), LogisticRegression()], ids=["svm", "logistic"])
def test_refusals(probe: LinearSVM | LogisticRegression) -> None:
    rows, targets = overlapping()
    with pytest.raises(ValueError, match="must be fitted first"):
        probe.predict(rows)
    with pytest.raises(ValueError, match=r"targets must be a tensor of whole numbers \(N,\), got torch.float32"):
        probe.fit(rows, targets.float())
    with pytest.raises(ValueError, match=r"targets must have shape \(120,\), one for each row, got \(119,\)"):
        probe.fit(rows, targets[1:])
    with pytest.raises(ValueError, match="targets must hold at least 2 classes, got only 4"):
        probe.fit(rows, torch.full_like(targets, 4))
    bad = rows.clone()
    bad[17, 4] = torch.nan
    with pytest.raises(ValueError, match="features must be finite, got nan in row 17"):
        probe.fit(bad, targets)
    probe.fit(rows, targets)
    with pytest.raises(ValueError, match="features must have the 12 columns the probe was fitted on, got 11"):
        probe.scores(rows[:, 1:])
    with pytest.raises(ValueError, match="cost must be positive and finite, got 0: it is the inverse"):
        type(probe)(cost=0)
    for constant in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="intercept_scaling must be at least 0 and finite"):
            LinearSVM(intercept_scaling=constant)


@pytest.mark.parametrize(("count", "dimension"), [(300, 100), (400, 60)])  # separable, and not
def test_long_rows_at_a_large_cost_are_solved(count: int, dimension: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(count, 20, generator=generator)
    mixed = hidden @ torch.randn(20, dimension, generator=generator)
    rows = 300 * (mixed + 0.3 * torch.randn(count, dimension, generator=generator)).relu()  # norms of thousands
    targets = (hidden[:, :8] + 0.3 * torch.randn(count, 8, generator=generator)).argmax(dim=1)
    found = LinearSVM(cost=1.0, normalise="none").fit(rows, targets)
    assert found.gap_ < 1e-9
    assert (found.predict(rows) == targets).float().mean() > 0.95
