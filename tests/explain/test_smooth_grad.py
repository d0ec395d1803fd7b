from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import explain
from pellucid.explain import saliency, smooth_grad
from pellucid.explain._noise import noisy

from .nets import Functional, GapNet, Linear

GENERATOR = torch.Generator().manual_seed(1)
WEIGHT = torch.randn(5, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


class Quadratic(nn.Module):
    """logits[n, k] = sum(weight[k] * images[n] ** 2) / 2: the slope is weight * x, the mean slope that of the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("kchw,nchw->nk", WEIGHT, images.square()) / 2


@pytest.mark.parametrize("base", ["saliency", "guided_backprop", "deconvnet"])
def test_without_noise_it_is_its_base(base: str) -> None:
    model = Functional().double()
    expected = getattr(explain, base)(model, IMAGES, TARGETS)
    torch.testing.assert_close(smooth_grad(model, IMAGES, TARGETS, samples=3, std=0.0, base=base), expected)
    noisy_one = smooth_grad(model, IMAGES, TARGETS, samples=3, std=0.3, base=base)
    assert (noisy_one - expected).abs().max() > 0.01 * expected.max()


@pytest.mark.parametrize("std", [0.1, 3.0])
def test_of_a_linear_model_it_is_the_gradient_for_any_noise(std: float) -> None:
    model = Linear(WEIGHT)
    expected = saliency(model, IMAGES, TARGETS)
    torch.testing.assert_close(smooth_grad(model, IMAGES, TARGETS, samples=5, std=std), expected)
    squared = smooth_grad(model, IMAGES, TARGETS, samples=5, std=std, variant="squared")
    torch.testing.assert_close(squared, expected.square())
    assert smooth_grad(model, IMAGES, TARGETS, samples=5, std=std, variant="variance").max() == 0


@pytest.mark.parametrize("reduce", ["max", "sum"])
@pytest.mark.parametrize("variant", ["mean", "squared", "variance"])
def test_equals_a_plain_loop(variant: str, reduce: str) -> None:
    model, samples = GapNet(), 6
    heat = smooth_grad(model, IMAGES, TARGETS, samples=samples, std=0.2, variant=variant, reduce=reduce)
    plan = noisy(IMAGES, samples, 0.2, None)
    slopes = []
    for number in range(samples):
        (copy,) = plan.vary(IMAGES, torch.tensor([number]), torch.arange(2))
        copy.requires_grad_()
        slopes.append(torch.autograd.grad(model(copy)[range(2), TARGETS].sum(), copy)[0])
    found = torch.stack(slopes)
    told = {
        "mean": found.mean(dim=0),
        "squared": found.square().mean(dim=0),
        "variance": found.var(dim=0, correction=0),
    }
    expected = told[variant].sum(dim=1) if reduce == "sum" else told[variant].abs().amax(dim=1)
    torch.testing.assert_close(heat, expected)


def test_signed_gradients_are_averaged_before_they_are_reduced() -> None:
    model = Quadratic()
    images = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    images[0, 0, 0, 0] = 1.0  # a range of 1; every other slope is noise around zero
    mean = smooth_grad(model, images, TARGETS[:1], samples=400, std=0.2)
    size = smooth_grad(model, images, TARGETS[:1], samples=400, std=0.2, variant="squared").sqrt()
    assert mean[0, 1:].mean() < 0.2 * size[0, 1:].mean()


def test_the_error_on_a_quadratic_falls_with_the_square_root() -> None:
    exact = saliency(Quadratic(), IMAGES, TARGETS, reduce="sum")

    def error(samples: int) -> float:
        heat = smooth_grad(Quadratic(), IMAGES, TARGETS, samples=samples, std=0.5, reduce="sum")
        return float((heat - exact).square().mean().sqrt())

    assert 3 < error(40) / error(640) < 5.3


def test_noise_is_a_share_of_each_images_own_range() -> None:
    dim = IMAGES[:1] * 0.1
    images = torch.cat([IMAGES[:1], dim])
    plan = noisy(images, 500, 0.2, None)
    copies = plan.vary(images, torch.arange(500), torch.arange(2))
    spread = (copies - images).std(dim=0).mean(dim=(1, 2, 3))
    ranges = images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3))
    torch.testing.assert_close(spread, 0.2 * ranges, rtol=0.01, atol=0)
    torch.testing.assert_close((copies - images).mean(), torch.tensor(0.0, dtype=torch.float64), rtol=0, atol=1e-3)


class Squares(nn.Module):
    """One logit, 50 times the sum of squares: its slope is 100 times the image."""

    def forward(self, images: Tensor) -> Tensor:
        return (50 * images.square()).float().sum(dim=(1, 2, 3))[:, None]


@pytest.mark.parametrize("variant", ["mean", "squared", "variance"])
def test_half_precision_holds_the_sums(variant: str) -> None:
    model, targets = Squares().eval(), torch.zeros(2, dtype=torch.int64)
    fine = smooth_grad(model, IMAGES.float(), targets, variant=variant)
    half = smooth_grad(model, IMAGES.half(), targets, variant=variant)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float() / fine.max(), fine / fine.max(), rtol=0, atol=5e-3)


def test_noisy_copies_are_clipped_only_when_asked() -> None:
    for clip in (False, True):
        copies = noisy(IMAGES, 5, 0.5, None, clip=clip).vary(IMAGES, torch.arange(5), torch.arange(2))
        assert (copies.min() >= 0 and copies.max() <= 1) == clip
    free, held = (smooth_grad(GapNet(), IMAGES, TARGETS, samples=3, std=0.5, clip=clip) for clip in (False, True))
    assert not torch.allclose(free, held)


def test_a_seed_gives_one_map() -> None:
    model = GapNet()
    one, same, other = (
        smooth_grad(model, IMAGES, TARGETS, samples=3, generator=torch.Generator().manual_seed(seed))
        for seed in (5, 5, 6)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("samples", 0, "samples must be at least 1, got 0"),
        ("std", -0.1, "std must be at least 0, got -0.1"),
        ("variant", "median", "variant must be one of mean, squared, variance, got 'median'"),
        ("base", "occlusion", "base must be one of saliency, deconvnet, guided_backprop, got 'occlusion'"),
        ("reduce", "none", "reduce must be one of max, mean, l2, sum, got 'none'"),
    ],
)
def test_refuses(option: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        smooth_grad(GapNet(), IMAGES, TARGETS, **{option: value})


def test_a_base_that_needs_relu_is_refused_without() -> None:
    with pytest.raises(ValueError, match="guided_backprop needs ReLU; the model's activations: Tanh x1"):
        smooth_grad(GapNet(), IMAGES, TARGETS, samples=2, base="guided_backprop")
