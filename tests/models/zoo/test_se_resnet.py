import pytest
import torch
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.blocks import SqueezeExcite
from pellucid.models.zoo.se_resnet import SEBasic, SEBottleneck


def test_stage_sizes() -> None:
    for size, sides in ((224, [56, 28, 14, 7]), (32, [32, 16, 8, 4]), (28, [28, 14, 7, 4])):
        with torch.device("meta"):
            net = zoo.se_resnet18(size=size)
        shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
        assert [shapes[name][2:] for name in net.stages] == [(side, side) for side in sides]  # type: ignore[union-attr]


def test_excitation_of_zero_weights_halves_every_channel() -> None:
    block = SqueezeExcite(8, reduction=4)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    maps = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(maps), 0.5 * maps)


def test_excitation_by_hand() -> None:
    torch.manual_seed(0)
    block = SqueezeExcite(6, reduction=2)
    maps = torch.randn(2, 6, 3, 4)
    down, up = block.reduce, block.restore
    assert down.bias is not None
    assert up.bias is not None
    for image, found in zip(maps, block(maps), strict=True):
        hidden = torch.relu(down.weight[:, :, 0, 0] @ image.flatten(1).mean(dim=1) + down.bias)
        scale = 1 / (1 + torch.exp(-(up.weight[:, :, 0, 0] @ hidden + up.bias)))
        torch.testing.assert_close(found, image * scale[:, None, None])


@pytest.mark.parametrize(("channels", "reduction", "hidden"), [(64, 16, 4), (8, 16, 1), (15, 4, 3)])
def test_the_hidden_layer_has_at_least_one_unit(channels: int, reduction: int, hidden: int) -> None:
    assert SqueezeExcite(channels, reduction=reduction).reduce.out_channels == hidden


@pytest.mark.parametrize("kind", [SEBasic, SEBottleneck])
def test_the_branch_is_scaled_before_it_is_added(kind: type[SEBasic] | type[SEBottleneck]) -> None:
    torch.manual_seed(0)
    block = kind(8, 4, stride=2).eval()
    images = torch.randn(2, 8, 6, 6)
    branch = block.conv2(block.conv1(images))
    if isinstance(block, SEBottleneck):
        branch = block.conv3(branch)
    torch.testing.assert_close(block(images), torch.relu(block.excite(branch) + block.shortcut(images)))
    fresh = kind(8, 4, zero_gamma=True)
    torch.testing.assert_close(fresh(images), torch.relu(fresh.shortcut(images)))


def test_refuses() -> None:
    with pytest.raises(ValueError, match="reduction must be at least 1, got 0"):
        zoo.se_resnet18(reduction=0)
    with pytest.raises(ValueError, match="se_resnet50 at 7 x 7 collapses in stage4"):
        zoo.se_resnet50(size=7)
