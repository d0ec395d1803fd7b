from pathlib import Path

import pytest
import torch
from torch import nn

from pellucid.models import describe, layers, load, zoo
from pellucid.models.zoo.mobilenet_v1 import DepthwiseSeparable


def test_stage_sizes() -> None:
    for size, sides in ((224, [112, 56, 28, 14, 7]), (32, [32, 16, 8, 4, 2]), (28, [28, 14, 7, 4, 2])):
        with torch.device("meta"):
            net = zoo.mobilenet_v1(size=size)
        shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
        assert [shapes[name][2:] for name in net.stages] == [(side, side) for side in sides]  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "after", "stride"), [(8, 16, 1), (8, 4, 2)])
def test_a_separable_convolution_costs_one_nth_and_one_ninth(before: int, after: int, stride: int) -> None:
    whole = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    share = describe(DepthwiseSeparable(before, after, stride=stride), (before, 12, 12)).macs
    assert share == pytest.approx((1 / after + 1 / 9) * describe(whole, (before, 12, 12)).macs)


def test_a_separable_convolution_is_one_of_rank_one_kernels() -> None:
    torch.manual_seed(0)
    block = DepthwiseSeparable(3, 4).double().eval()
    alone, mixed = block.get_parameter("dw.conv.weight"), block.get_parameter("pw.conv.weight")
    whole = mixed * alone[:, 0]  # (4, 3, 3, 3)
    images = torch.rand(1, 3, 5, 5, dtype=torch.float64)
    found = block.get_submodule("pw.conv")(block.get_submodule("dw.conv")(images))
    torch.testing.assert_close(found, nn.functional.conv2d(images, whole, padding=1))


@pytest.mark.real
@pytest.mark.parametrize("name", ["mobilenet_v1_025", "mobilenet_v1_075"])
def test_released_weights_still_answer_as_they_did(weights_folder: Path, name: str) -> None:
    model = load(weights_folder / name)  # compares the stored fingerprint
    with torch.no_grad():
        logits = model(torch.full((1, 3, *model.geometry.size), 0.5))
    assert logits.shape == (1, 1000)
    assert model.network.head is model.network.get_submodule("classifier")
