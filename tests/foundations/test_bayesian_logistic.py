import math

import pytest
import torch
from torch import Tensor

from pellucid.foundations.bayesian_logistic import BayesianLogisticRegression
from pellucid.foundations.logistic_posterior import by_descent, by_newton, curvature, gradient, log_posterior
from pellucid.foundations.point_sets import blobs, moons, square

BLOBS = blobs(count=40)
MIXED = blobs(count=40, spread=2.5)
FAR = torch.tensor([[8.0, -8.0], [4.0, 4.0], [0.0, 0.5], [-30.0, 31.0]], dtype=torch.float64)


def learned(**options: object) -> BayesianLogisticRegression:
    return BayesianLogisticRegression(**options).fit(MIXED.values, MIXED.targets)  # type: ignore[arg-type]


def one_dimension(count: int = 60) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    points = torch.randn(count, 1, generator=source, dtype=torch.float64)
    return points, (torch.rand(count, generator=source) < (1.5 * points[:, 0]).sigmoid()).long()


def rows_of(points: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(points[:, :1]), points], dim=1)


def test_the_hessian_and_the_gradient_are_those_of_autograd() -> None:
    rows, targets = rows_of(MIXED.values), MIXED.targets.double()
    precisions = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    weights = torch.tensor([0.2, -0.4, 0.9], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
        lambda w: log_posterior(w, rows, targets, precisions), weights
    )
    torch.testing.assert_close(curvature(weights, rows, precisions), -hessian, atol=1e-10, rtol=1e-10)
    leaf = weights.clone().requires_grad_()
    (slope,) = torch.autograd.grad(log_posterior(leaf, rows, targets, precisions), leaf)
    torch.testing.assert_close(gradient(weights, rows, targets, precisions), slope, atol=1e-10, rtol=1e-10)


def test_the_mode_is_where_scikit_learn_has_it() -> None:
    from sklearn.linear_model import LogisticRegression

    model = learned(alpha=0.7, bias_prior=0.0)
    other = LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=1000).fit(MIXED.values.numpy(), MIXED.targets.numpy())
    expected = [*other.intercept_, *other.coef_[0]]
    assert model.map_.tolist() == pytest.approx(expected, rel=1e-4)
    assert model.gradient_norm_ < 1e-8
    assert model.log_evidence_ is None, "a flat prior has none"


def test_without_prior_what_is_not_separable_has_its_mode() -> None:
    model = learned(alpha=0.0)
    assert model.gradient_norm_ < 1e-8
    assert model.map_.isfinite().all()


def test_more_prior_makes_smaller_weights_and_each_may_have_its_own() -> None:
    lengths = [float(learned(alpha=alpha).map_.norm()) for alpha in (0.01, 0.1, 1.0, 10.0)]
    assert lengths == sorted(lengths, reverse=True)
    own = learned(alpha=torch.tensor([1e6, 1.0]), bias_prior=0.1).map_
    assert abs(own[1]) < 1e-3 < abs(own[2])


def test_descent_on_the_mean_loss_finds_the_same_mode() -> None:
    """alpha = N times the weight decay: 0.05 on 80 points is 4."""
    rows, targets, ones = rows_of(MIXED.values), MIXED.targets.double(), torch.ones(3, dtype=torch.float64)
    weights = by_descent(rows, targets, 4 * ones, epochs=400)
    torch.testing.assert_close(weights, by_newton(rows, targets, 4 * ones), atol=1e-6, rtol=0)
    assert (weights - by_newton(rows, targets, 0.05 * ones)).abs().max() > 0.1
    by_hand = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([by_hand], lr=0.1, momentum=0.9, weight_decay=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(rows @ by_hand, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    short = learned(alpha=4.0, solver="descent")
    torch.testing.assert_close(short.map_, by_hand.detach())
    assert short.gradient_norm_ > learned(alpha=4.0).gradient_norm_, "twenty epochs end near the mode, and this says so"


@pytest.mark.parametrize("approximation", ["laplace", "mean_field", "full_cov"])
def test_in_one_dimension_it_is_the_posterior_of_a_grid(approximation: str) -> None:
    points, targets = one_dimension()
    model = BayesianLogisticRegression(
        approximation=approximation, bias_prior=1e10, expectation="quadrature", steps=45
    ).fit(points, targets)
    grid = torch.linspace(-2, 6, 4001, dtype=torch.float64)
    log = log_posterior(grid[:, None], points, targets.double(), torch.ones(1, dtype=torch.float64))
    log = log - math.log(2 * math.pi) / 2  # of the prior
    shares = log.softmax(dim=0)
    evidence = float(log.logsumexp(dim=0)) + math.log(8 / 4000)
    mean = float(shares @ grid)
    variance = float(shares @ (grid - mean) ** 2)
    assert float(model.posterior_.mean[1]) == pytest.approx(mean, abs=0.1 * variance**0.5 + 0.03)
    assert float(model.posterior_.covariance[1, 1]) == pytest.approx(variance, rel=0.1)
    assert model.log_evidence_ == pytest.approx(evidence, rel=0.05)
    if approximation != "laplace":
        assert model.log_evidence_ is not None
        assert evidence - 0.1 < model.log_evidence_ <= evidence + 1e-6, "a lower bound"


def test_separable_heaps_are_parted_alike_by_all() -> None:
    chances = []
    for approximation in ("laplace", "mean_field", "full_cov"):
        model = BayesianLogisticRegression(approximation=approximation, expectation="quadrature", steps=45)
        chances.append(model.fit(BLOBS.values, BLOBS.targets).predict_proba(BLOBS.values))
        assert ((chances[-1] > 0.5) == BLOBS.targets.bool()).all()
    assert (chances[0] - chances[1]).abs().max() < 0.1
    assert (chances[0] - chances[2]).abs().max() < 0.1


def test_four_ways_to_predict() -> None:
    model = learned()
    said = {name: model.predict_proba(FAR, predictive=name) for name in ("plugin", "probit", "quad")}
    assert ((said["probit"] - 0.5).abs() <= (said["plugin"] - 0.5).abs() + 1e-12).all()
    assert (said["probit"] - said["quad"]).abs().max() < 0.025
    near, far = (model.predict_proba(FAR, predictive="mc", samples=count) for count in (50, 50_000))
    assert (far - said["quad"]).abs().max() < 0.01
    assert (near - said["quad"]).abs().max() < 0.3
    alone = model.predict_proba(FAR[1:2], predictive="mc", samples=50)
    torch.testing.assert_close(alone, near[1:2])


def test_all_agree_where_both_classes_are_as_likely() -> None:
    model = learned()
    bias, first, second = model.posterior_.mean.tolist()
    on_boundary = torch.tensor([[0.0, -bias / second], [5.0, -(bias + 5 * first) / second]], dtype=torch.float64)
    for name in ("plugin", "probit", "quad"):
        torch.testing.assert_close(
            model.predict_proba(on_boundary, predictive=name), torch.full((2,), 0.5, dtype=torch.float64)
        )
    mc = model.predict_proba(on_boundary, predictive="mc", samples=20_000)
    assert (mc - 0.5).abs().max() < 0.02


def test_far_away_plugin_is_sure_and_laplace_is_not() -> None:
    model = learned(alpha=0.3)
    weights, covariance = model.posterior_.mean[1:], model.posterior_.covariance[1:, 1:]
    along = weights / weights.norm() + 2 * torch.stack([weights[1], -weights[0]]) / weights.norm()
    far = 1e7 * along[None]
    limit = ((weights @ along) / (torch.pi * along @ covariance @ along / 8).sqrt()).sigmoid()
    assert model.predict_proba(far, predictive="plugin").item() == 1
    assert model.predict_proba(far, predictive="probit").item() == pytest.approx(limit.item(), abs=1e-5)
    assert 0.5 < limit < 0.999


def test_doubt_grows_across_and_along_the_boundary() -> None:
    model = learned()
    across = model.posterior_.mean[1:] / model.posterior_.mean[1:].norm()
    along = torch.stack([across[1], -across[0]])
    doubts = model.predict_deviation(torch.stack([reach * along for reach in (0.0, 2.0, 6.0, 20.0)]))
    assert (doubts.diff() > 0).all()
    assert doubts.max() < 0.5
    rows = rows_of(torch.stack([reach * across for reach in (0.0, 3.0, 9.0)]))
    assert (model.posterior_.variance(rows).diff() > 0).all()


def test_draws_are_near_the_integral_and_the_bound_rises() -> None:
    drawn = learned(approximation="mean_field", steps=400)
    exact = learned(approximation="mean_field", expectation="quadrature", steps=45)
    assert drawn.bound_ is not None
    assert exact.bound_ is not None
    assert exact.log_evidence_ is not None
    smooth = drawn.bound_.elbos.unfold(0, 20, 20).mean(dim=1)
    assert (smooth.diff() > -0.3).all()
    assert drawn.bound_.elbos[-1] > drawn.bound_.elbos[0]
    assert float(drawn.bound_.elbos[-1]) == pytest.approx(exact.log_evidence_, abs=0.4)
    assert (exact.bound_.elbos.diff() > -1e-9).all()


def test_a_seed_is_its_draws() -> None:
    one, again, other = (
        BayesianLogisticRegression(approximation="full_cov", steps=5).fit(
            MIXED.values, MIXED.targets, generator=torch.Generator().manual_seed(seed)
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.posterior_.root, again.posterior_.root)
    assert not torch.equal(one.posterior_.mean, other.posterior_.mean)


def test_sets_and_grids() -> None:
    assert BLOBS.values[:40].mean(dim=0).tolist() == pytest.approx([-2, -2], abs=0.4)
    assert BLOBS.values[40:].std(dim=0).tolist() == pytest.approx([0.8, 0.8], rel=0.25)
    assert moons(count=20, noise=0.0).values.abs().max() <= 2
    x, y, spots = square(torch.tensor([[0.0, 0.0], [2.0, 1.0]]), times=2, places=5)
    assert x.tolist() == [-1, 0, 1, 2, 3]
    assert y.tolist() == [-1.5, -0.5, 0.5, 1.5, 2.5]
    assert spots[1].tolist() == [0, -1.5]


@pytest.mark.parametrize(
    ("options", "targets", "told"),
    [
        ({}, MIXED.targets + 1, r"targets must be 0 and 1, got classes \{1, 2\}: remap"),
        ({}, MIXED.targets * 0, "targets must have both classes, got only 0"),
        ({}, MIXED.targets[:3], r"targets must have shape \(80,\), one for each point, got \(3,\)"),
        ({"alpha": -1.0}, MIXED.targets, "alpha must be at least 0 and finite"),
        ({"alpha": torch.ones(3)}, MIXED.targets, r"one for each of 2 weights, got \(3,\)"),
        ({"alpha": torch.ones(2)}, MIXED.targets, "bias_prior must be given where alpha is one number a weight"),
        ({"alpha": 0.0, "approximation": "mean_field"}, MIXED.targets, "alpha must be above 0 for a bound"),
        ({"approximation": "laplac"}, MIXED.targets, "approximation must be one of .* did you mean laplace"),
        ({"solver": "sgd"}, MIXED.targets, "solver must be one of newton, descent"),
        ({"expectation": "exact"}, MIXED.targets, "expectation must be one of draws, quadrature"),
        ({"approximation": "mean_field", "lr": 0.0}, MIXED.targets, "lr must be above 0, got 0"),
        ({"approximation": "mean_field", "steps": 0}, MIXED.targets, "steps must be at least 1, got 0"),
    ],
)
def test_refusals(options: dict[str, object], targets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BayesianLogisticRegression(**options).fit(MIXED.values, targets)  # type: ignore[arg-type]


def test_refuses_a_mode_that_is_nowhere_and_points_of_another_width() -> None:
    with pytest.raises(ValueError, match="MAP diverges: classes are linearly separable, give alpha > 0"):
        BayesianLogisticRegression(alpha=0).fit(BLOBS.values, BLOBS.targets)
    touching = torch.tensor([[-1.0], [0.0], [0.0], [1.0]])  # both classes at 0: not strictly, yet it diverges
    with pytest.raises(ValueError, match="MAP diverges"):
        BayesianLogisticRegression(alpha=0).fit(touching, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="points must have 2 columns as in fit, got 3"):
        learned().predict_proba(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="points must be finite"):
        learned().predict_proba(torch.full((1, 2), torch.nan))
    exact = BayesianLogisticRegression(approximation="full_cov", expectation="quadrature")
    with pytest.raises(ValueError, match="expectation must be draws for more than 5000 points"):
        exact.fit(torch.zeros(6000, 1), torch.arange(6000) % 2)


def test_steps_that_do_not_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.foundations.logistic_posterior.STEPS", 1)
    ones = torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="MAP not reached: after 1 Newton steps the gradient's norm is"):
        by_newton(rows_of(MIXED.values), MIXED.targets.double(), ones)
