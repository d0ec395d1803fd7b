import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.foundations.bases import Polynomial, design
from pellucid.foundations.bayesian_linear import BayesianLinearRegression
from pellucid.foundations.gaussian_posterior import Gaussian, gaussian_at
from pellucid.foundations.regression_sets import regression_set
from pellucid.foundations.squashed import deviation, expectation, plugin, probit, quad
from pellucid.foundations.variational_gaussian import divergence, expected_by_draws, nearest

SET = regression_set("line")
FEATURES = design(Polynomial(3), SET.inputs)
EXACT = BayesianLinearRegression(Polynomial(3), alpha=2.0, beta=25.0).fit(SET.inputs, SET.targets)
PRECISIONS = torch.full((3,), 2.0, dtype=torch.float64)


def log_likelihood(weights: Tensor) -> Tensor:
    misfit = (SET.targets - weights @ FEATURES.T).square().sum(dim=-1)
    return -25 / 2 * misfit + len(SET.targets) / 2 * math.log(25 / (2 * math.pi))


def expected_linear(density: Gaussian, _noise: Tensor) -> Tensor:
    return log_likelihood(density.mean) - 25 / 2 * density.variance(FEATURES).sum()


def test_laplace_of_a_parabola_is_exact() -> None:
    """Bayesian linear regression through the routine for any density."""
    prior = 3 / 2 * math.log(2 / (2 * math.pi))
    found = gaussian_at(lambda w: log_likelihood(w) - w.square().sum() + prior, EXACT.mean_)
    torch.testing.assert_close(found.gaussian.mean, EXACT.mean_, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.gaussian.covariance, EXACT.covariance_, atol=1e-8, rtol=1e-8)
    assert found.log_integral == pytest.approx(EXACT.log_evidence_, abs=1e-8)


def test_the_nearest_density_of_a_linear_model_is_known() -> None:
    full = nearest(expected_linear, PRECISIONS, is_full=True, is_exact=True, steps=150)
    torch.testing.assert_close(full.gaussian.mean, EXACT.mean_, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(full.gaussian.covariance, EXACT.covariance_, atol=1e-4, rtol=1e-2)
    assert float(full.elbos[-1]) == pytest.approx(EXACT.log_evidence_ or 0, abs=1e-4)
    assert (full.elbos.diff() > -1e-9).all()

    own = nearest(expected_linear, PRECISIONS, is_exact=True, steps=150)
    inverse = 2 * torch.eye(3, dtype=torch.float64) + 25 * FEATURES.T @ FEATURES
    torch.testing.assert_close(own.gaussian.mean, EXACT.mean_, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(own.gaussian.covariance.diagonal(), 1 / inverse.diagonal(), rtol=1e-3, atol=0)
    assert (own.gaussian.covariance.diagonal() < EXACT.covariance_.diagonal()).all(), "too small where correlated"
    assert float(own.elbos[-1]) < (EXACT.log_evidence_ or 0)


def test_draws_lead_there_too() -> None:
    found = nearest(expected_by_draws(log_likelihood), PRECISIONS, steps=600, lr=0.05)
    known = nearest(expected_linear, PRECISIONS, is_exact=True, steps=60)
    assert found.elbos[-1] > found.elbos[0]
    assert float(found.elbos[-1]) == pytest.approx(float(known.elbos[-1]), abs=0.6)
    assert found.steps.tolist()[0] == 0
    assert found.steps.tolist()[-1] == 600


def test_the_prior_is_no_distance_from_itself_and_the_distance_is_that_of_draws() -> None:
    prior = Gaussian(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64) / 2**0.5)
    assert float(divergence(prior, PRECISIONS)) == pytest.approx(0, abs=1e-12)
    root = torch.tensor([[0.5, 0, 0], [0.2, 0.9, 0], [-0.3, 0.1, 0.4]], dtype=torch.float64)
    density = Gaussian(torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64), root)
    drawn = density.sample(200_000)
    normals: Any = torch.distributions
    at = normals.MultivariateNormal(density.mean, density.covariance).log_prob(drawn)
    other = normals.Normal(0.0, 2**-0.5).log_prob(drawn).sum(dim=1)
    error = float((at - other).std()) / 200_000**0.5
    assert float(divergence(density, PRECISIONS)) == pytest.approx(float((at - other).mean()), abs=3 * error)


def test_an_unproper_density_is_refused() -> None:
    with pytest.raises(ValueError, match="the posterior must fall from its mode in every direction"):
        gaussian_at(lambda w: w[0] ** 2 - w[1] ** 2, torch.zeros(2))


def test_squashing_knows_its_ends() -> None:
    mean = torch.tensor([0.0, 1.3, -2.0, 40.0], dtype=torch.float64)
    zero = torch.zeros_like(mean)
    for way in (plugin, probit, quad):
        torch.testing.assert_close(way(mean, zero), mean.sigmoid())
        torch.testing.assert_close(way(-mean, zero + 3), 1 - way(mean, zero + 3))
    assert deviation(mean, zero).max() < 1e-7
    assert deviation(torch.zeros(1, dtype=torch.float64), torch.tensor([1e4], dtype=torch.float64)) > 0.49


@pytest.mark.parametrize("variance", [0.01, 1.0, 9.0, 100.0, 1e4])
def test_the_integral_is_that_of_an_adaptive_rule(variance: float) -> None:
    from scipy.integrate import quad as integrate

    means = torch.tensor([0.0, 0.7, -3.0, 12.0, 55.0], dtype=torch.float64)
    said, wide = quad(means, torch.full_like(means, variance)), variance**0.5
    for mean, found in zip(means.tolist(), said.tolist(), strict=True):
        knee = min(9.0, max(-9.0, -mean / wide))
        known, _ = integrate(
            lambda z, mean=mean: (
                math.exp(-z * z / 2)
                / math.sqrt(2 * math.pi)
                * torch.tensor(mean + wide * z, dtype=torch.float64).sigmoid().item()
            ),
            -9,
            9,
            points=[knee, max(-9.0, knee - 20 / wide), min(9.0, knee + 20 / wide)],
            limit=400,
            epsabs=1e-12,
        )
        assert found == pytest.approx(known, abs=1e-9)


def test_probit_is_near_the_integral_everywhere() -> None:
    mean, variance = torch.meshgrid(
        torch.linspace(-20, 20, 81, dtype=torch.float64), torch.logspace(-2, 4, 31, dtype=torch.float64), indexing="ij"
    )
    off = (probit(mean.flatten(), variance.flatten()) - quad(mean.flatten(), variance.flatten())).abs()
    assert off.max() < 0.025


def test_the_integral_has_the_slopes_of_the_theorem() -> None:
    """d E[f] / d mean = E[f'], d E[f] / d variance = E[f''] / 2."""
    mean = torch.tensor([0.4], dtype=torch.float64, requires_grad=True)
    variance = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    by_mean, by_variance = torch.autograd.grad(expectation(torch.sin, mean, variance).sum(), (mean, variance))
    known = math.exp(-1.0)
    assert float(by_mean) == pytest.approx(known * math.cos(0.4), rel=1e-9)
    assert float(by_variance) == pytest.approx(-known * math.sin(0.4) / 2, rel=1e-9)
