import pytest
import torch
from torch import Tensor, nn

from pellucid.explain import integrated_gradients, saliency
from pellucid.models import Model, filled

from .nets import GapNet, Linear
from .test_saliency import bias_free

GENERATOR = torch.Generator().manual_seed(1)
WEIGHT = torch.randn(5, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


class Saturates(nn.Module):
    """One number x a picture; logits (x - max(x - 1/2, 0), 0): flat above one half, so the gradient at 1 is zero."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)[:, :1]
        return torch.cat([x - (x - 0.5).relu(), x * 0], dim=1)


def test_a_linear_model_is_weights_times_what_was_added_for_any_steps() -> None:
    for steps in (1, 7):
        heat = integrated_gradients(Linear(WEIGHT), IMAGES, TARGETS, steps=steps, baseline=0.25)
        torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (IMAGES - 0.25)).sum(dim=1))


def test_a_saturated_score_still_has_its_share() -> None:
    images = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    target = torch.tensor([0])
    assert saliency(Saturates(), images, target).item() == 0
    torch.testing.assert_close(integrated_gradients(Saturates(), images, target).item(), 0.5)


@pytest.mark.parametrize("objective", ["score", "logprob", "prob", "loss"])
@pytest.mark.parametrize("baseline", ["black", "mean", "blur", 0.7])
def test_the_shares_add_up_to_the_difference(baseline: float | str, objective: str) -> None:
    inner = GapNet()
    inner.head.weight.data *= 5
    model = Model(inner, mean=[0.2, 0.4, 0.6], std=[0.3] * 3, classes=list("abcde"), size=8).double()

    def value(images: Tensor) -> Tensor:
        logits: Tensor = model(images)
        logprob = logits.log_softmax(dim=1)
        told = {"score": logits, "logprob": logprob, "prob": logprob.exp(), "loss": -logprob}
        return told[objective][range(2), TARGETS].detach()

    heat = integrated_gradients(model, IMAGES, TARGETS, baseline=baseline, objective=objective)
    change = value(IMAGES) - value(filled(model, IMAGES, baseline))
    assert change.abs().min() > 1e-4
    torch.testing.assert_close(heat.sum(dim=(1, 2)), change, rtol=1e-3, atol=1e-6)


def test_the_shares_of_a_net_with_kinks_add_up_within_a_percent() -> None:
    model = bias_free()
    heat = integrated_gradients(model, IMAGES, TARGETS, baseline=0.5)
    change = (model(IMAGES) - model(torch.full_like(IMAGES, 0.5)))[range(2), TARGETS].detach()
    torch.testing.assert_close(heat.sum(dim=(1, 2)), change, rtol=1e-2, atol=0)


@pytest.mark.parametrize("reduce", ["sum", "max", "mean", "l2"])
def test_equals_a_plain_loop_over_the_middles_of_the_steps(reduce: str) -> None:
    model, steps, total = GapNet(), 5, torch.zeros_like(IMAGES)
    for step in range(steps):
        point = (0.1 + (IMAGES - 0.1) * (step + 0.5) / steps).requires_grad_()
        total += torch.autograd.grad(model(point)[range(2), TARGETS].sum(), point)[0] / steps
    shares = (IMAGES - 0.1) * total
    told = {"sum": shares.sum(1), "max": shares.abs().amax(1), "mean": shares.abs().mean(1), "l2": shares.norm(dim=1)}
    heat = integrated_gradients(model, IMAGES, TARGETS, steps=steps, baseline=0.1, reduce=reduce)
    torch.testing.assert_close(heat, told[reduce])


def test_the_image_as_its_own_baseline_has_nothing_to_share() -> None:
    flat = torch.full((1, 3, 8, 8), 0.4, dtype=torch.float64)
    assert integrated_gradients(GapNet(), flat, TARGETS[:1], baseline=0.4, steps=3).abs().max() == 0


def test_refuses() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        integrated_gradients(GapNet(), IMAGES, TARGETS, steps=0)
    with pytest.raises(ValueError, match=r"baseline must be mean, black, blur or a number in \[0, 1\], got 'white'"):
        integrated_gradients(GapNet(), IMAGES, TARGETS, baseline="white")
    with pytest.raises(ValueError, match=r"baseline must be in \[0, 1\], got 2.0"):
        integrated_gradients(GapNet(), IMAGES, TARGETS, baseline="2")
    with pytest.raises(ValueError, match="reduce must be one of"):
        integrated_gradients(GapNet(), IMAGES, TARGETS, reduce="none")
