import pytest
import torch
from torch import Tensor, nn

from pellucid.explain import guided_backprop, saliency

from .nets import Linear

GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.rand(2, 1, 1, 2, generator=GENERATOR, dtype=torch.float64) + 0.0
TARGETS = torch.tensor([0, 1])


class ByHand(nn.Module):
    """logits = V relu(W x): the guided gradient is W^T (1[a > 0] max(V_k, 0))."""

    def __init__(self, cap: float | None = None) -> None:
        super().__init__()
        self.w = torch.tensor([[1.0, -2.0], [3.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
        self.v = torch.tensor([[2.0, -1.0, 5.0], [-3.0, 4.0, 1.0]], dtype=torch.float64)
        self.activation = nn.ReLU() if cap is None else nn.ReLU6()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        active: Tensor = self.activation(images.flatten(1) @ self.w.T)
        return active @ self.v.T


def test_equals_the_rule_written_out() -> None:
    model = ByHand()
    x = IMAGES.flatten(1)
    active = (x @ model.w.T > 0).double()
    expected = (active * model.v[TARGETS].clamp(min=0)) @ model.w  # (N, 2)
    heat = guided_backprop(model, IMAGES, TARGETS, reduce="sum")
    torch.testing.assert_close(heat.flatten(1), expected)
    assert not torch.allclose(heat, saliency(model, IMAGES, TARGETS, reduce="sum")), "the rule makes a difference here"


def test_relu6_passes_nothing_where_it_saturates() -> None:
    model = ByHand(cap=6.0)
    images = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64) * 1.0
    model.w = model.w * 4  # a = (4, 12, -4): the second unit saturates at 6
    heat = guided_backprop(model, images, torch.tensor([1]), reduce="sum")
    torch.testing.assert_close(heat.flatten(), torch.zeros(2, dtype=torch.float64))
    heat = guided_backprop(model, images, torch.tensor([0]), reduce="sum")
    torch.testing.assert_close(heat.flatten(), 2.0 * model.w[0])


def test_equals_the_plain_gradient_where_nothing_is_cut() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 5)).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.abs_()
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(guided_backprop(model, images, TARGETS), saliency(model, images, TARGETS))


def test_a_net_without_relu_is_refused_with_what_it_has() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3), nn.GELU(), nn.Flatten()).eval()
    with pytest.raises(ValueError, match="guided_backprop needs ReLU; the model's activations: GELU x2; use saliency"):
        guided_backprop(model, torch.rand(1, 3, 8, 8), torch.tensor([0]))
    with pytest.raises(ValueError, match="the model's activations: none"):
        guided_backprop(Linear(torch.ones(2, 3, 4, 4)), torch.rand(1, 3, 4, 4), torch.tensor([0]))
