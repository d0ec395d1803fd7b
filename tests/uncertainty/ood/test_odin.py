"""ODIN against closed forms of linear models."""

import math

import pytest
import torch
from torch import Tensor, nn

from pellucid.uncertainty.ood import max_probability, odin
from pellucid.uncertainty.ood.odin import surer

from ..nets import Given, Linear, small, small_images

NET, IMAGES = small(), small_images(8)


def ranks(scores: Tensor) -> list[int]:
    order: list[int] = scores.argsort().tolist()
    return order


def test_temperature_1_and_epsilon_0_are_the_maximum_probability() -> None:
    assert torch.equal(odin(NET, IMAGES, temperature=1.0, epsilon=0.0), max_probability(NET, IMAGES))


@pytest.mark.parametrize("temperature", [2.0, 1000.0])
def test_two_classes_rank_alike_at_every_temperature(temperature: float) -> None:
    net = small(2)
    assert ranks(odin(net, IMAGES, temperature=temperature, epsilon=0.0)) == ranks(max_probability(net, IMAGES))


def test_a_high_temperature_ranks_by_the_lead_over_the_mean() -> None:
    images = small_images(200, seed=5)
    with torch.no_grad():
        z = NET(images).double()
    lead = z.amax(dim=1) - z.mean(dim=1)
    assert ranks(odin(NET, images, temperature=1e6, epsilon=0.0)) == ranks(-lead)
    assert len(set(odin(NET, images, epsilon=0.0).tolist())) == 200, "no ties"


@pytest.mark.parametrize(("temperature", "epsilon"), [(1.0, 0.01), (1000.0, 0.0014), (10.0, 0.2)])
def test_two_linear_classes(temperature: float, epsilon: float) -> None:
    """With odds d = (w1 - w2) x + (b1 - b2), the step adds epsilon sum |w1 - w2| to |d|, at any temperature."""
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(2, 12, generator=generator).double()
    bias = torch.randn(2, generator=generator).double()
    images = small_images(6, side=2).double()
    odds = images.flatten(1) @ (weight[0] - weight[1]) + bias[0] - bias[1]
    odds = odds.abs() + epsilon * (weight[0] - weight[1]).abs().sum()
    found = odin(Linear(weight, bias), images, temperature=temperature, epsilon=epsilon)
    torch.testing.assert_close(found, (-odds / temperature).sigmoid())


def test_a_longer_step_is_surer() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, 0.0]])
    images = small_images(4, side=1)
    scores = [odin(Linear(weight), images, temperature=1.0, epsilon=step) for step in (0.0, 0.01, 0.1)]
    assert bool((scores[0] > scores[1]).all())
    assert bool((scores[1] > scores[2]).all())


def test_the_step_is_epsilon_or_nothing() -> None:
    weight = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, 0.0]])
    images = small_images(4, side=1)
    signs = surer(Linear(weight), images, 1000.0)
    assert set(signs.flatten().tolist()) <= {-1.0, 0.0, 1.0}
    assert (signs[:, 2] == 0).all(), "the third value changes nothing"
    chosen = Linear(weight)(images).argmax(dim=1)
    expected = torch.where(chosen == 0, 1.0, -1.0)[:, None] * torch.tensor([[1.0, -1.0]])
    assert torch.equal(signs[:, :2, 0, 0], expected)


@pytest.mark.parametrize("temperature", [1.0, 10.0, 1000.0])
def test_the_step_is_taken_at_the_temperature_of_the_score(temperature: float) -> None:
    """The slope of log p_y is (w_y - sum of p_k w_k) / T, whose signs depend on T from three classes on."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(5, 12, generator=generator).double()
    images = small_images(30, side=2).double()
    logits = images.flatten(1) @ weight.T
    expected = (weight[logits.argmax(dim=1)] - (logits / temperature).softmax(dim=1) @ weight).sign()
    assert torch.equal(surer(Linear(weight), images, temperature).flatten(1), expected)
    other = (weight[logits.argmax(dim=1)] - (logits / 3).softmax(dim=1) @ weight).sign()
    assert not torch.equal(expected, other)


def test_clipping_keeps_to_the_range_of_images() -> None:
    seen: list[Tensor] = []

    class Watched(Given):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images.detach().clone())
            return super().forward(images)

    images = torch.tensor([[1.0, 0.0], [0.3, 0.9]])[:, :, None, None]
    odin(Watched(), images, epsilon=0.25)
    assert (float(seen[-1].min()), float(seen[-1].max())) == (-0.25, 1.25)
    odin(Watched(), images, epsilon=0.25, clip=True)
    assert (float(seen[-1].min()), float(seen[-1].max())) == (0.0, 1.0)


def test_it_leaves_no_gradient_and_works_without_them() -> None:
    net = small()
    expected = odin(net, IMAGES)
    assert all(parameter.grad is None for parameter in net.parameters())
    with torch.inference_mode():
        torch.testing.assert_close(odin(net, IMAGES), expected)
    net.requires_grad_(False)
    torch.testing.assert_close(odin(net, IMAGES), expected)


def test_one_image_is_as_many() -> None:
    images = small_images(70)
    together = odin(NET, images)
    torch.testing.assert_close(torch.cat([odin(NET, image[None]) for image in images]), together, rtol=1e-9, atol=1e-9)


def test_refuses() -> None:
    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1).detach()

    with pytest.raises(ValueError, match="no gradient reaches the image: take epsilon=0, or another method than odin"):
        odin(Rounded().eval(), IMAGES)
    assert odin(Rounded().eval(), IMAGES, epsilon=0.0).shape == (8,)
    with pytest.raises(ValueError, match=r"epsilon must be at least 0, got -0\.1"):
        odin(NET, IMAGES, epsilon=-0.1)
    with pytest.raises(ValueError, match=r"temperature must be above 0 and finite, got 0\.0"):
        odin(NET, IMAGES, temperature=0.0)
    with pytest.raises(ValueError, match="epsilon must be"):
        odin(NET, IMAGES, epsilon=math.nan)
