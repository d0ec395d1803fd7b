import math

import pytest
import torch
from torch import Tensor

from pellucid.foundations.bases import Gaussian, Linear, Polynomial, design
from pellucid.foundations.bayesian_linear import BayesianLinearRegression
from pellucid.foundations.regression_sets import REGRESSION_SETS, regression_set

LINE = regression_set("line")
X, Y = LINE.inputs, LINE.targets
ASKED = torch.linspace(-10, 10, 41, dtype=torch.float64)


def fitted(alpha: float = 2.0, beta: float = 25.0, count: int = 25) -> BayesianLinearRegression:
    return BayesianLinearRegression(alpha=alpha, beta=beta).fit(X[:count], Y[:count])


def on_a_grid(model: BayesianLinearRegression, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (G, 2) around the posterior, their shares by prior times likelihood, and the log of their sum."""
    spread = model.covariance_.diagonal().sqrt()
    sides = [m + s * torch.linspace(-7, 7, 141, dtype=torch.float64) for m, s in zip(model.mean_, spread, strict=True)]
    weights = torch.cartesian_prod(*sides)
    curves = weights @ torch.stack([torch.ones(count, dtype=torch.float64), X[:count]])
    log = -model.alpha / 2 * weights.square().sum(dim=1) - 25 / 2 * (Y[:count] - curves).square().sum(dim=1)
    return weights, log.softmax(dim=0), log


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_mean_and_covariance_are_those_of_a_grid_and_the_prediction_that_of_an_integral(count: int) -> None:
    model = fitted(count=count)
    weights, shares, _ = on_a_grid(model, count)
    mean = shares @ weights
    covariance = (shares[:, None] * (weights - mean)).T @ (weights - mean)
    torch.testing.assert_close(model.mean_, mean, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.covariance_, covariance, atol=1e-3, rtol=1e-3)
    said = model.predict(torch.tensor([3.0], dtype=torch.float64))
    curve = weights @ torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert said.mean.item() == pytest.approx((shares @ curve).item(), abs=1e-3)
    assert said.epistemic.item() == pytest.approx((shares @ (curve - shares @ curve) ** 2).item(), rel=1e-3)
    assert said.total.item() == said.epistemic.item() + 0.04


def test_no_point_leaves_the_prior() -> None:
    model = fitted(count=0)
    assert model.mean_.tolist() == [0, 0]
    torch.testing.assert_close(model.covariance_, torch.eye(2, dtype=torch.float64) / 2)
    assert model.log_evidence_ == pytest.approx(0, abs=1e-12)


def test_point_by_point_is_all_at_once_in_any_order() -> None:
    whole, one = fitted(), BayesianLinearRegression(alpha=2.0, sigma=0.2)
    for index in torch.randperm(25, generator=torch.Generator().manual_seed(0)).tolist():
        one.update(X[index : index + 1], Y[index : index + 1])
    torch.testing.assert_close(one.mean_, whole.mean_, atol=1e-10, rtol=0)
    torch.testing.assert_close(one.covariance_, whole.covariance_, atol=1e-10, rtol=0)
    assert one.log_evidence_ == pytest.approx(whole.log_evidence_, abs=1e-9)
    assert one.count_ == 25


def test_each_point_twice_is_twice_the_precision() -> None:
    twice = BayesianLinearRegression(beta=25.0).fit(X.repeat(2), Y.repeat(2))
    double = BayesianLinearRegression(beta=50.0).fit(X, Y)
    torch.testing.assert_close(twice.mean_, double.mean_)
    torch.testing.assert_close(twice.covariance_, double.covariance_)


def test_without_prior_it_is_least_squares_and_with_one_it_is_ridge() -> None:
    features = design(Linear(), X)
    flat = torch.linalg.lstsq(features, Y[:, None]).solution[:, 0]
    torch.testing.assert_close(fitted(alpha=0).mean_, flat)
    torch.testing.assert_close(fitted(alpha=1e-9).mean_, flat)
    assert fitted(alpha=0).log_evidence_ is None
    ridge = torch.linalg.solve(features.T @ features + 0.3 * torch.eye(2, dtype=torch.float64), features.T @ Y)
    torch.testing.assert_close(fitted(alpha=0.3 * 25).mean_, ridge)


def test_without_prior_the_variance_of_a_line_is_the_known_one_and_least_at_the_barycentre() -> None:
    said, middle = fitted(alpha=0).predict(ASKED), X.mean()
    known = (1 / 25 + (ASKED - middle) ** 2 / (X - middle).square().sum()) / 25
    torch.testing.assert_close(said.epistemic, known, atol=1e-10, rtol=1e-10)
    fine = torch.linspace(-1, 3, 40001, dtype=torch.float64)
    assert fine[fitted(alpha=0).predict(fine).epistemic.argmin()].item() == pytest.approx(middle.item(), abs=1e-4)


def test_on_the_hole_a_line_is_surest_where_nothing_was_seen() -> None:
    hole = regression_set("line-gap")
    said = BayesianLinearRegression(alpha=0, sigma=0.2).fit(hole.inputs, hole.targets)
    at = said.predict(torch.stack([hole.inputs.mean(), hole.inputs.min(), hole.inputs.max()])).epistemic
    assert at[0] < at[1:].min() / 1.5
    assert not ((hole.inputs > -1) & (hole.inputs < 1)).any()


def test_a_point_more_never_makes_it_less_sure() -> None:
    model, before = BayesianLinearRegression(Polynomial(4), sigma=0.2), None
    for index in range(12):
        now = model.update(X[index : index + 1], Y[index : index + 1]).predict(ASKED).epistemic
        assert (now >= 0).all()
        assert before is None or (now <= before * (1 + 1e-9)).all()
        before = now


def test_far_from_all_bumps_only_the_noise_is_left_unless_there_is_a_bias() -> None:
    waves = regression_set("rising-sine")
    far = torch.tensor([waves.high + 20 / 9 - 1], dtype=torch.float64)  # high of the bumps + 20 s
    for bias, floor in ((False, 0.04), (True, None)):
        model = BayesianLinearRegression(Gaussian(bias=bias), alpha=waves.alpha, sigma=0.2)
        said = model.fit(waves.inputs, waves.targets).predict(far)
        if floor is not None:
            assert abs(said.total.item() - floor) < 1e-12
            assert abs(said.mean.item()) < 1e-12
        else:
            assert said.total.item() == pytest.approx(0.04 + model.covariance_[0, 0].item())
            assert said.total.item() > 1


def test_a_polynomial_explodes_beside_its_points() -> None:
    waves = regression_set("rising-sine")
    said = BayesianLinearRegression(Polynomial(), alpha=0.05, sigma=0.2).fit(waves.inputs, waves.targets)
    at = said.predict(torch.tensor([0.5, 2.0], dtype=torch.float64))
    assert at.total[1] > 1e4 * at.total[0]


@pytest.mark.parametrize("basis", [Linear(), Polynomial(5), Gaussian(bumps=6, high=2.0)])
def test_the_evidence_is_the_density_of_the_targets(basis: Linear) -> None:
    features = design(basis, X)
    covariance = torch.eye(25, dtype=torch.float64) / 25 + features @ features.T / 2
    normal = torch.distributions.MultivariateNormal(torch.zeros(25, dtype=torch.float64), covariance)
    both = BayesianLinearRegression(basis, alpha=2.0, beta=25.0).fit(X, torch.stack([Y, 1 - Y], dim=1))
    known = normal.log_prob(Y) + normal.log_prob(1 - Y)  # type: ignore[no-untyped-call]
    assert both.log_evidence_ == pytest.approx(known.item(), abs=1e-8)


def test_draws_have_the_covariance_and_curves_the_variance() -> None:
    model, count = fitted(), 100_000
    drawn = model.sample_weights(count) - model.mean_
    found, known = drawn.T @ drawn / count, model.covariance_
    error = ((known.diagonal()[:, None] * known.diagonal() + known**2) / count).sqrt()
    assert ((found - known).abs() < 3 * error).all()
    curves = model.sample_functions(ASKED, 20_000)
    variance = model.predict(ASKED).epistemic
    assert ((curves.var(dim=0) / variance - 1).abs() < 4 * (2 / 20_000) ** 0.5).all()
    second = curves[:, 1:-1] * 2 - curves[:, :-2] - curves[:, 2:]
    assert second.abs().max() < 1e-9, "each curve is a line"


def test_several_targets_share_the_covariance() -> None:
    both = BayesianLinearRegression(sigma=0.2).fit(X, torch.stack([Y, -2 * Y], dim=1))
    torch.testing.assert_close(both.covariance_, fitted().covariance_)
    torch.testing.assert_close(both.mean_, torch.stack([fitted().mean_, -2 * fitted().mean_], dim=1))
    assert both.predict(ASKED).mean.shape == (41, 2)
    assert both.predict(ASKED).epistemic.shape == (41,)
    assert both.sample_functions(ASKED, 3).shape == (3, 41, 2)


def test_bases_are_their_formulas() -> None:
    inputs = torch.tensor([0.5, -2.0], dtype=torch.float64)
    assert design(Polynomial(4), inputs).tolist() == [[1, 0.5, 0.25, 0.125], [1, -2, 4, -8]]
    assert design(Linear(), inputs.repeat(2, 1).T).tolist() == [[1, 0.5, 0.5], [1, -2, -2]]
    bumps = design(Gaussian(3, low=0.0, high=1.5), inputs)  # middles 0, 0.75, 1.5, width 0.5
    assert bumps[0].tolist() == pytest.approx([math.exp(-0.5), math.exp(-0.125), math.exp(-2)])
    assert design(torch.cos, inputs[:, None]).shape == (2, 1), "any function is a basis"


@pytest.mark.parametrize("name", REGRESSION_SETS)
def test_sets_are_where_they_say(name: str) -> None:
    known = regression_set(name, generator=torch.Generator().manual_seed(4))
    assert len(known.inputs) == {"line": 25, "line-gap": 20, "rising-sine": 50}[name]
    assert (known.targets - known.truth(known.inputs)).std().item() == pytest.approx(0.2, rel=0.35)
    assert not torch.equal(known.inputs, regression_set(name).inputs)
    assert torch.equal(regression_set(name).inputs, regression_set(name).inputs)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"alpha": -1.0, "beta": 1.0}, "alpha must be at least 0 and finite, got -1"),
        ({}, "give either beta or sigma .* got beta=None and sigma=None"),
        ({"beta": 1.0, "sigma": 1.0}, "give either beta or sigma"),
        ({"beta": 0.0}, "beta must be above 0 and finite, got 0"),
        ({"sigma": -0.1}, "sigma must be above 0 and finite, got -0.1"),
    ],
)
def test_refuses_options(options: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BayesianLinearRegression(**options).fit(X, Y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inputs", "targets", "told"),
    [
        (X, Y[:3], r"targets must have shape \(25,\) or \(25, K\), one for each input, got \(3,\)"),
        (X, Y / 0, "targets must be finite"),
        (X / 0, Y, "inputs must be finite"),
        (X.long(), Y, r"inputs must be a float tensor \(N,\) or \(N, d\), got torch.int64 \(25,\)"),
    ],
)
def test_refuses_points(inputs: Tensor, targets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BayesianLinearRegression(sigma=0.2).fit(inputs, targets)


def test_refuses_what_is_no_density() -> None:
    with pytest.raises(ValueError, match="posterior is improper: Phi has rank 1 < 2; give alpha > 0"):
        fitted(alpha=0, count=1)
    with pytest.raises(ValueError, match=r"finite features, but <built-in .*log.*> does not at x = \[-1.0\]"):
        BayesianLinearRegression(torch.log, sigma=1.0).fit(torch.tensor([1.0, -1.0]), torch.zeros(2))
    with pytest.raises(ValueError, match=r"inputs must be one number a point for Polynomial\(columns=10\), got 2"):
        BayesianLinearRegression(Polynomial(), sigma=1.0).fit(torch.rand(4, 2), torch.zeros(4))
    with pytest.raises(ValueError, match=r"targets must be as those of fit, got \(25, 2\)"):
        fitted().update(X, torch.stack([Y, Y], dim=1))
    with pytest.raises(ValueError, match=r"high must be above low 1\.0, got 0\.5"):
        Gaussian(low=1.0, high=0.5)


def test_warns_where_few_digits_are_left() -> None:
    with pytest.warns(UserWarning, match="A has condition number .* rescale the inputs"):
        BayesianLinearRegression(Polynomial(), alpha=1e-3, sigma=0.2).fit(12 * X, Y)
