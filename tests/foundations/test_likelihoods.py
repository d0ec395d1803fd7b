from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Laplace, Normal

from pellucid.foundations import likelihoods
from pellucid.foundations.likelihoods import Loss

DRAWN = torch.Generator().manual_seed(0)
ANY, TRUE = (torch.randn(6, generator=DRAWN, dtype=torch.float64) for _ in range(2))
P = torch.rand(6, generator=DRAWN, dtype=torch.float64) * 0.8 + 0.1
BITS = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
SHARES = torch.randn(4, 3, generator=DRAWN, dtype=torch.float64).softmax(dim=1)
CLASSES = torch.tensor([2, 0, 1, 1])
HOT = F.one_hot(CLASSES, 3).double()
CASES = {
    "squared_error": (ANY, TRUE),
    "absolute_error": (ANY, TRUE),
    "binary_cross_entropy": (P, BITS),
    "categorical_cross_entropy": (SHARES, HOT),
    "sparse_cross_entropy": (SHARES, CLASSES),
    "hinge": (ANY, 2 * BITS - 1),
}
each = pytest.mark.parametrize("name", CASES)


def logs(noise: Any, seen: Tensor) -> Tensor:
    """Logarithms of the densities of what was seen."""
    found: Tensor = noise.log_prob(seen)
    return found


def asked(name: str, predictions: Tensor) -> Loss:
    found: Loss = getattr(likelihoods, name)(predictions, CASES[name][1])
    return found


def test_none_is_missing() -> None:
    assert list(CASES) == [loss.__name__ for loss in likelihoods.EACH]


@each
def test_gradient_and_hessian_equal_autograd(name: str) -> None:
    leaf = CASES[name][0].clone().requires_grad_()
    found = asked(name, leaf)
    (gradient,) = torch.autograd.grad(found.value, leaf)
    torch.testing.assert_close(found.gradient.detach(), gradient)
    step = 1e-6
    bend = (asked(name, leaf.detach() + step).gradient - asked(name, leaf.detach() - step).gradient) / (2 * step)
    torch.testing.assert_close(found.hessian.detach(), bend, rtol=1e-6, atol=1e-6)


def test_values_equal_torch() -> None:
    pairs = [
        ("squared_error", F.mse_loss(ANY, TRUE, reduction="sum")),
        ("absolute_error", F.l1_loss(ANY, TRUE, reduction="sum")),
        ("binary_cross_entropy", F.binary_cross_entropy(P, BITS, reduction="sum")),
        ("categorical_cross_entropy", F.nll_loss(SHARES.log(), CLASSES, reduction="sum")),
        ("sparse_cross_entropy", F.nll_loss(SHARES.log(), CLASSES, reduction="sum")),
        ("hinge", F.relu(1 - (2 * BITS - 1) * ANY).sum()),
    ]
    for name, expected in pairs:
        torch.testing.assert_close(asked(name, CASES[name][0]).value, expected)


def test_likelihoods_equal_the_densities_of_torch() -> None:
    pairs = [
        (likelihoods.squared_error(ANY, TRUE, sigma=0.7), logs(Normal(ANY, 0.7), TRUE)),
        (likelihoods.absolute_error(ANY, TRUE, scale=0.7), logs(Laplace(ANY, 0.7), TRUE)),
        (likelihoods.binary_cross_entropy(P, BITS), logs(Bernoulli(P), BITS)),
        (likelihoods.categorical_cross_entropy(SHARES, HOT), logs(Categorical(SHARES), CLASSES)),
        (likelihoods.sparse_cross_entropy(SHARES, CLASSES), logs(Categorical(SHARES), CLASSES)),
    ]
    for found, densities in pairs:
        assert found.log_likelihood is not None
        torch.testing.assert_close(found.log_likelihood, densities.sum())
    assert asked("hinge", ANY).log_likelihood is None


def test_the_mean_square_is_the_likelihood_up_to_a_constant() -> None:
    sigma, constants = 0.6, []
    for predictions in (ANY, ANY + 1, 3 * ANY):
        found = likelihoods.squared_error(predictions, TRUE, sigma=sigma)
        assert found.log_likelihood is not None
        constants.append((found.value / 6 + 2 * sigma**2 * found.log_likelihood / 6).item())
    assert constants == pytest.approx([constants[0]] * 3)


def test_the_most_probable_weights_are_those_of_weight_decay() -> None:
    inputs = torch.randn(20, 3, generator=DRAWN, dtype=torch.float64)
    targets = inputs @ torch.tensor([1.0, -2.0, 0.5]).double() + 0.3 * torch.randn(20, generator=DRAWN).double()
    noise, prior = 0.3, 0.8
    found = likelihoods.most_probable_weights(inputs, targets, noise=noise, prior=prior).requires_grad_()
    seen = logs(Normal(inputs @ found, noise), targets).sum() + logs(Normal(0 * found.detach(), prior), found).sum()
    (posterior,) = torch.autograd.grad(seen, found)
    assert posterior.abs().max() < 1e-8
    decayed = ((inputs @ found - targets) ** 2).sum() + (noise / prior) ** 2 * (found**2).sum()
    (slope,) = torch.autograd.grad(decayed, found)
    assert slope.abs().max() < 1e-8
    loose = likelihoods.most_probable_weights(inputs, targets, noise=noise, prior=1e6)
    torch.testing.assert_close(loose, torch.linalg.lstsq(inputs, targets).solution)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"predictions must be float and of the shape of targets, got .*\(6,\) and"):
        likelihoods.squared_error(ANY, TRUE[:3])
    with pytest.raises(ValueError, match="sigma must be above 0, got 0"):
        likelihoods.squared_error(ANY, TRUE, sigma=0)
    with pytest.raises(ValueError, match="scale must be at least 0, got -1"):
        likelihoods.absolute_error(ANY, TRUE, scale=-1)
    with pytest.raises(ValueError, match=r"predictions must be in \(0, 1\), got"):
        likelihoods.binary_cross_entropy(ANY, BITS)
    with pytest.raises(ValueError, match="targets must be 0 or 1"):
        likelihoods.binary_cross_entropy(P, 2 * BITS)
    with pytest.raises(ValueError, match=r"predictions must be in \(0, 1\], got"):
        likelihoods.categorical_cross_entropy(SHARES - 1, HOT)
    with pytest.raises(ValueError, match="targets must be one-hot"):
        likelihoods.categorical_cross_entropy(SHARES, torch.ones_like(HOT))
    with pytest.raises(ValueError, match=r"targets must be in 0\.\.2, got 3 to 3"):
        likelihoods.sparse_cross_entropy(SHARES, torch.full((4,), 3))
    with pytest.raises(ValueError, match=r"targets must be int64, one for each row, got torch\.float64"):
        likelihoods.sparse_cross_entropy(SHARES, HOT)
    with pytest.raises(ValueError, match="targets must be -1 or 1"):
        likelihoods.hinge(ANY, BITS)
    with pytest.raises(ValueError, match=r"targets must have shape \(4,\)"):
        likelihoods.most_probable_weights(SHARES, TRUE)
