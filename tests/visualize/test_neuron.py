from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Model
from pellucid.visualize import class_image, neuron

from .nets import Dead, small, wrapped


def first(model: Model, layer: int, images: Tensor) -> Tensor:
    net = model.network
    assert isinstance(net, nn.Sequential)
    with torch.no_grad():
        out: Tensor = net[: layer + 1]((images - model.mean) / model.std)
    return out


@pytest.mark.parametrize("objective", ["unit", "channel", "layer"])
@pytest.mark.parametrize("layer", [0, 4])
def test_the_trace_is_the_objective_and_rises(objective: str, layer: int) -> None:
    model = small()
    unit = None if objective == "layer" else 3
    told: dict[str, Any] = {"start": "gray", "penalty": 0.0, "blur_every": None, "jitter": 0}
    found = neuron(model, layer=str(layer), unit=unit, objective=objective, steps=15, lr=0.1, frames=15, **told)
    assert found.images.shape == (1, 3, 16, 16)
    for frame, value in ((found.frames[0], found.trace[0]), (found.frames[1], found.trace[-1])):
        output = first(model, layer, frame)
        height, width = output.shape[2:]
        expected = {
            "unit": output[:, 3, height // 2, width // 2],
            "channel": output[:, 3].mean(dim=(1, 2)),
            "layer": output.flatten(1).norm(dim=1),
        }[objective]
        torch.testing.assert_close(value, expected)
    assert found.trace[-1] > found.trace[0]


def test_a_unit_paints_only_what_it_sees() -> None:
    model = small()
    found = neuron(model, layer="4", unit=2, steps=5, start="gray", jitter=0, blur_every=None)
    painted = ((found.images[0] - model.mean).abs() > 1e-6).any(dim=0).nonzero()
    # field 7, step 2, first centre 0: unit (4, 4) of the 8 x 8 map is centred on pixel 8
    assert painted.amin(dim=0).tolist() >= [8 - 3, 8 - 3]
    assert painted.amax(dim=0).tolist() <= [8 + 3, 8 + 3]
    assert len(painted) > 9


def test_a_linear_unit_paints_its_own_filter() -> None:
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    model = wrapped(nn.Sequential(conv, nn.Flatten()).eval(), size=(7, 7), mean=(0.5,), std=(0.1,))
    told: dict[str, Any] = {"start": "gray", "jitter": 0, "blur_every": None, "clamp": False, "penalty": 0.0}
    found = neuron(model, layer="0", unit=1, lr=1.0, steps=1, **told)
    painted = (found.images[0, 0] - 0.5) / 0.1
    torch.testing.assert_close(painted[2:5, 2:5], conv.weight[1, 0].detach(), atol=1e-5, rtol=1e-5)
    assert painted.abs().sum() - painted[2:5, 2:5].abs().sum() < 1e-4


def test_a_logit_is_what_class_image_climbs() -> None:
    model = small()
    one = neuron(model, layer="7", unit=3, steps=6)
    torch.testing.assert_close(one.images, class_image(model, torch.tensor([3]), steps=6).images)


def test_the_network_is_run_no_further_than_the_layer() -> None:
    model = small()
    net = model.network
    assert isinstance(net, nn.Sequential)
    reached: list[int] = []
    handle = net[3].register_forward_hook(lambda *_: reached.append(1))
    neuron(model, layer="0", unit=1, steps=10)
    handle.remove()
    assert len(reached) == 2, "to find the layer's grid, and to count its calls"


def test_a_dead_unit_is_revived_and_reported() -> None:
    model = wrapped(Dead(), classes=2, size=(4, 4), mean=(0.0,), std=(0.05,))
    found = neuron(
        model, layer="relu", unit=0, objective="channel", lr=4.0, penalty=0.0, steps=120, jitter=0, start="gray"
    )
    assert found.trace[0] == 0
    assert found.revived[0] > 0
    assert found.is_dead[0], "the brightest picture there is does not wake it"
    assert found.images.mean() > 0.9


def test_a_unit_that_wakes_up_is_not_dead() -> None:
    model = wrapped(Dead(), classes=2, size=(4, 4), mean=(0.0,), std=(0.04,))
    told: dict[str, Any] = {"lr": 4.0, "penalty": 0.0, "jitter": 0, "start": "gray"}
    found = neuron(model, layer="relu", unit=0, objective="channel", steps=120, **told)
    assert found.trace[-1] > 0
    assert 0 < found.revived[0] < 120
    assert not found.is_dead[0]


def test_tokens_are_units_in_their_grid() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.rows = nn.Conv2d(3, 5, 4, stride=4), nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = self.rows(self.embed(images).flatten(2).transpose(1, 2)).mean(dim=1)
            return out

    torch.manual_seed(0)
    model = wrapped(Tokens().eval(), classes=5, size=(16, 16))
    found = neuron(model, layer="rows", unit=3, steps=2, start="gray", jitter=0, blur_every=None)
    painted = ((found.images[0] - model.mean).abs() > 1e-6).any(dim=0).nonzero()
    assert (painted.amin(dim=0).tolist(), painted.amax(dim=0).tolist()) == ([8, 8], [11, 11])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"layer": "7", "unit": 4}, r"unit must be in \[0, 3\], the layer has 4 channels, got 4"),
        ({"layer": "0", "unit": 6}, r"unit must be in \[0, 5\], the layer has 6 channels, got 6"),
        ({"layer": "0", "unit": -1}, "unit must be at least 0, got -1"),
        ({"layer": "0"}, "unit must be given for the objective unit"),
        ({"layer": "0", "unit": 1, "objective": "layer"}, "unit must not be given for the objective layer, got 1"),
        ({"layer": "6", "unit": 1, "objective": "channel"}, "layer '6' has no positions to average over"),
        ({"layer": "0", "unit": 1, "objective": "x"}, "objective must be one of unit, channel, layer"),
        ({"layer": "conv", "unit": 1}, "'conv' matches no layer"),
    ],
)
def test_refuses(told: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        neuron(small(), steps=1, **told)
