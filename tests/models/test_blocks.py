import math

import pytest
import torch
from torch import nn

from pellucid.models.blocks import (
    BasicBlock,
    Bottleneck,
    ConvBNAct,
    GlobalAveragePool,
    PadShortcut,
    initialise,
    shortcut,
)


def test_a_convolution_with_norm_and_activation_keeps_the_side() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 9, 9)
    for kernel in (1, 3, 5, 7):
        assert ConvBNAct(4, 6, kernel=kernel)(maps).shape == (2, 6, 9, 9)
        assert ConvBNAct(4, 6, kernel=kernel, stride=2)(maps).shape == (2, 6, 5, 5)
    block = ConvBNAct(4, 6, groups=2, activation="none")
    assert [name for name, _ in block.named_children()] == ["conv", "bn"]
    out = block(maps)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(6), atol=1e-6, rtol=0)  # in training: by the batch
    torch.testing.assert_close(out.var(dim=(0, 2, 3), unbiased=False), torch.ones(6), atol=1e-3, rtol=0)
    assert ConvBNAct(4, 6)(maps).min() == 0
    assert ConvBNAct(4, 6, activation="relu6")(100 * maps).max() <= 6
    assert -0.3 < ConvBNAct(4, 6, activation="silu")(maps).min() < 0
    assert not any(name.endswith("conv.bias") for name, _ in block.named_parameters())


def test_global_average_pool_is_the_mean_over_positions() -> None:
    maps = torch.arange(12.0).view(1, 2, 2, 3)
    torch.testing.assert_close(GlobalAveragePool()(maps), torch.tensor([[2.5, 8.5]]))


def test_he_start() -> None:
    """Variances: 2 / outputs reached of convolutions, 2 / inputs of hidden layers, 0.01 squared of heads."""
    torch.manual_seed(0)
    parts = {
        "conv": nn.Conv2d(16, 64, 5),
        "grouped": nn.Conv2d(64, 64, 5, groups=4),
        "norm": nn.BatchNorm2d(64),
        "hidden": nn.Linear(200, 100),
        "head": nn.Linear(200, 100),
    }
    net = nn.ModuleDict(parts)
    initialise(net, parts["head"])
    found = {name: net.get_parameter(f"{name}.weight").std().item() for name in ("conv", "grouped", "hidden", "head")}
    wanted = {
        "conv": math.sqrt(2 / (25 * 64)),
        "grouped": math.sqrt(2 / (25 * 16)),
        "hidden": math.sqrt(2 / 200),
        "head": 0.01,
    }
    assert found == pytest.approx(wanted, rel=0.03)
    assert not any(net.get_parameter(f"{name}.bias").any() for name in parts)
    assert net.get_parameter("norm.weight").eq(1).all()


def test_a_forward_start_keeps_the_signal_where_widths_change() -> None:
    """2 / inputs: a reduction to a tenth of the channels would else swell the mean square tenfold."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(320, 32, 1), nn.ReLU(), nn.Conv2d(32, 320, 3, groups=4), nn.ReLU())
    initialise(net, is_forward=True)
    assert net.get_parameter("0.weight").std().item() == pytest.approx(math.sqrt(2 / 320), rel=0.03)
    assert net.get_parameter("2.weight").std().item() == pytest.approx(math.sqrt(2 / (9 * 8)), rel=0.03)
    assert net(torch.randn(4, 320, 8, 8)).square().mean().item() == pytest.approx(1, rel=0.3)


def test_a_shortcut_has_weights_only_where_it_must() -> None:
    assert isinstance(shortcut(4, 4), nn.Identity)
    assert isinstance(shortcut(4, 4, option="A"), nn.Identity)
    counts = [sum(p.numel() for p in shortcut(4, 6, stride=2, option=option).parameters()) for option in "AB"]
    assert counts == [0, 4 * 6 + 2 * 6]
    assert sum(p.numel() for p in shortcut(4, 4, stride=2).parameters()) > 0


def test_refuses() -> None:
    with pytest.raises(ValueError, match="activation must be one of relu, relu6, silu, none, got 'rely'; did you mean"):
        ConvBNAct(3, 3, activation="rely")
    with pytest.raises(ValueError, match="shortcut must be one of A, B, got 'C'"):
        BasicBlock(3, 6, option="C")
    with pytest.raises(ValueError, match="after must be at least before, 6: zeros can only be added, got 3"):
        BasicBlock(6, 3, option="A")
    assert PadShortcut(3, 3, stride=2)(torch.ones(1, 3, 4, 4)).shape == (1, 3, 2, 2)
    with pytest.raises(ValueError, match="base_width must be at least 64 / width to leave a channel, got 8 at 4"):
        Bottleneck(16, 4, base_width=8)
