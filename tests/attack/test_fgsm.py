"""FGSM by hand."""

import pytest
import torch
import torch.nn.functional as F

from pellucid.attack import Trace, fgsm

from .nets import Linear, called, small_images, small_net


@pytest.mark.parametrize("targeted", [False, True])
def test_it_is_the_sign_of_the_gradient(targeted: bool) -> None:
    net, images = small_net(1), small_images(6)
    targets = (called(net, images) + targeted) % 5
    leaf = images.clone().requires_grad_()
    F.cross_entropy(net(leaf), targets, reduction="sum").backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    expected = (images + (-1 if targeted else 1) * 0.03 * leaf.grad.sign()).clamp(0, 1)
    trace = Trace()
    torch.testing.assert_close(fgsm(net, images, targets, epsilon=0.03, targeted=targeted, trace=trace), expected)
    assert trace.forward.tolist() == trace.backward.tolist() == [1] * 6


def test_the_optimum_on_a_linear_model_is_exact() -> None:
    weight = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Linear(weight, torch.tensor([9.0, 0.0], dtype=torch.float64))
    image = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    made = fgsm(model, image, torch.zeros(1, dtype=torch.int64), epsilon=0.1)
    before, after = ((model(x)[0, 0] - model(x)[0, 1]).item() for x in (image, made))
    assert before - after == pytest.approx(0.1 * (weight[0] - weight[1]).abs().sum().item(), rel=1e-12)
