import pytest
import torch
from torch import Tensor, nn

from pellucid.visualize import filters


def net(weight: Tensor) -> nn.Module:
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
    with torch.no_grad():
        conv.weight.copy_(weight)
    return nn.Sequential(conv)


WEIGHT = torch.tensor([[[[-1.0, 3.0], [0.0, 6.0]]], [[[0.0, 0.0], [0.0, 0.0]]], [[[2.0, 2.0], [2.0, 2.0]]]])


def test_symmetric_by_hand() -> None:
    found = filters(net(WEIGHT))
    torch.testing.assert_close(found[0, 0], torch.tensor([[0.5 - 1 / 12, 0.75], [0.5, 1.0]]))
    assert torch.equal(found[1], torch.full((1, 2, 2), 0.5)), "no weight is mid gray"
    assert torch.equal(found[2], torch.ones(1, 2, 2))
    assert not found.requires_grad


def test_minmax_by_hand() -> None:
    found = filters(net(WEIGHT), scale="minmax")
    torch.testing.assert_close(found[0, 0], torch.tensor([[0, 4 / 7], [1 / 7, 1]]))
    assert torch.equal(found[1:], torch.zeros(2, 1, 2, 2)), "flat is zero"


def test_channels_are_scaled_together_and_the_first_that_reads_the_image_is_taken() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 3, 3)
    model = nn.Sequential(nn.Conv2d(8, 2, 1), net(weight))
    found = filters(model)
    for one, raw in zip(found, weight, strict=True):
        torch.testing.assert_close(one, 0.5 + raw / (2 * raw.abs().max()))


def test_many_channels_are_refused_or_become_tiles() -> None:
    torch.manual_seed(0)
    weight = torch.randn(2, 64, 3, 3)
    with pytest.raises(ValueError, match="layer '0' has 64 input channels; filters are shown as images only for 1 or"):
        filters(net(weight), layer="0")
    tiles = filters(net(weight), layer="0", tiles=True)
    assert tiles.shape == (128, 1, 3, 3)
    torch.testing.assert_close(tiles[65, 0], 0.5 + weight[1, 1] / (2 * weight[1, 1].abs().max()))


def test_refuses() -> None:
    model = nn.Sequential(nn.Conv2d(8, 2, 1), nn.ReLU())
    with pytest.raises(ValueError, match="no Conv2d of 1 or 3 input channels; name another with tiles: 0"):
        filters(model)
    with pytest.raises(ValueError, match="layer '1' must be a Conv2d to have filters, got a ReLU"):
        filters(model, layer="1")
    with pytest.raises(ValueError, match="scale must be one of symmetric, minmax, got 'max'"):
        filters(model, scale="max")
