import pytest
import torch
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.zoo.nin import NiN, NiNBlock


@pytest.mark.parametrize(
    ("size", "sides"), [(224, [54, 27, 13, 6]), (32, [32, 16, 8]), (28, [28, 14, 7]), (8, [8, 4, 2])]
)
def test_stage_sizes(size: int, sides: list[int]) -> None:
    with torch.device("meta"):
        net = NiN(10, 3, is_small=size <= 64)
    shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
    assert [shapes[name][2:] for name in net.stages] == [(side, side) for side in sides]


def test_a_logit_is_the_mean_of_its_map_and_may_be_negative() -> None:
    torch.manual_seed(0)
    net = NiN(5, 1, is_small=True).eval()
    images = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(net(images), net.blocks(images).mean(dim=(2, 3)))
    assert net.head.out_channels == 5
    assert bool((net(images) < 0).any())


def test_a_block_is_a_perceptron_slid_over_the_image() -> None:
    torch.manual_seed(0)
    block = NiNBlock(2, (4, 3, 5), 3).double()
    images = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    patch = images[0, :, 1:4, 2:5].flatten()
    for layer in (block.conv1, block.conv2, block.conv3):
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        patch = torch.relu(layer.weight.flatten(1) @ patch + layer.bias)
    torch.testing.assert_close(block(images)[0, :, 1, 2], patch)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"nin at 3 x 3 collapses in blocks\.3: give images of at least 4 x 4"):
        zoo.nin(size=3)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 0.95\], got 1"):
        zoo.nin(dropout=1)
    assert zoo.nin(size=4, classes=2).eval()(torch.rand(1, 3, 4, 4)).shape == (1, 2)
