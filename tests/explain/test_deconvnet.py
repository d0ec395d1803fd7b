from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import deconvnet, guided_backprop, saliency

GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.rand(2, 1, 1, 2, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([0, 1])
W = torch.tensor([[1.0, -2.0], [3.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
V = torch.tensor([[2.0, -1.0, 5.0], [-3.0, 4.0, 1.0]], dtype=torch.float64)


class ByHand(nn.Module):
    """logits = V relu(W x), the ReLU in any spelling: the deconvnet gradient is W^T max(V_k, 0), whatever x is."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling, self.module = spelling, nn.ReLU(inplace=spelling == "in place")
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1) @ W.T
        told: dict[str, Callable[[Tensor], Tensor]] = {
            "functional": F.relu,
            "method": Tensor.relu,
            "method in place": Tensor.relu_,
        }
        return told.get(self.spelling, self.module)(x) @ V.T


@pytest.mark.parametrize("spelling", ["module", "in place", "functional", "method", "method in place"])
def test_equals_the_rule_written_out_in_every_spelling(spelling: str) -> None:
    model = ByHand(spelling)
    heat = deconvnet(model, IMAGES, TARGETS, reduce="sum")
    torch.testing.assert_close(heat.flatten(1), V[TARGETS].clamp(min=0) @ W)
    active = (IMAGES.flatten(1) @ W.T > 0).double()
    guided = guided_backprop(model, IMAGES, TARGETS, reduce="sum")
    torch.testing.assert_close(guided.flatten(1), (active * V[TARGETS].clamp(min=0)) @ W)
    plain = saliency(model, IMAGES, TARGETS, reduce="sum")
    torch.testing.assert_close(plain.flatten(1), (active * V[TARGETS]) @ W)
    assert not torch.allclose(heat, guided)
    assert not torch.allclose(heat, plain)


@pytest.mark.parametrize("objective", ["logprob", "prob", "loss"])
def test_starts_from_the_objective(objective: str) -> None:
    model = ByHand("module")
    p = model(IMAGES).softmax(dim=1)
    chance = p[range(2), TARGETS][:, None]
    slope = F.one_hot(TARGETS, 2) - p  # of the log probability, with respect to the logits
    slope = {"logprob": slope, "prob": chance * slope, "loss": -slope}[objective]
    heat = deconvnet(model, IMAGES, TARGETS, objective=objective, reduce="sum")
    torch.testing.assert_close(heat.flatten(1), (slope @ V).clamp(min=0) @ W)


def test_equals_the_plain_gradient_where_nothing_is_cut() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 5)).double().eval()
    for parameter in model.parameters():
        parameter.detach().abs_()
    images, targets = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=GENERATOR), torch.tensor([3, 1])
    torch.testing.assert_close(deconvnet(model, images, targets), saliency(model, images, targets))


def test_a_net_without_relu_is_refused_with_what_it_has() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Flatten()).eval()
    message = "deconvnet needs ReLU; the model's activations: SiLU x1, Tanh x1; use saliency or smooth_grad"
    with pytest.raises(ValueError, match=message):
        deconvnet(model, torch.rand(1, 3, 8, 8), torch.tensor([0]))
