import pytest
import torch
from torch import nn

from pellucid.models import describe, layers, zoo
from pellucid.models.zoo.efficientnet import EfficientNet, MBConv, StochasticDepth, rounded

from .test_densenet import scatter_norms


def test_stage_sizes() -> None:
    for size, sides in ((224, [112, 56, 28, 14, 7]), (32, [32, 16, 8, 4, 2]), (28, [28, 14, 7, 4, 2])):
        with torch.device("meta"):
            net = zoo.efficientnet_b0(size=size)
        assert isinstance(net, EfficientNet)
        shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
        assert [shapes[name][2:] for name in net.stages] == [(side, side) for side in sides]


@pytest.mark.parametrize(
    ("channels", "near"), [(3, 8), (12, 16), (35.2, 32), (17, 16), (26.4, 24), (28.8, 32), (44, 48)]
)
def test_channels_are_multiples_of_eight(channels: float, near: int) -> None:
    assert rounded(channels) == near


@pytest.mark.parametrize(("name", "billions"), [("efficientnet_b0", 0.39), ("efficientnet_b1", 0.70)])
def test_multiply_adds_are_the_papers(name: str, billions: float) -> None:
    """Table 2 of the paper; half a unit of phi more depth and side costs 1.8 times as much."""
    with torch.device("meta"):
        net = zoo.build(name, classes=1000)
    size = {"efficientnet_b0": 224, "efficientnet_b1": 240}[name]
    assert describe(net, size).macs / 1e9 == pytest.approx(billions, abs=0.015)


@pytest.mark.parametrize(("before", "after", "stride", "adds"), [(8, 8, 1, True), (8, 8, 2, False), (8, 16, 1, False)])
def test_the_input_is_added_where_it_fits(before: int, after: int, stride: int, adds: bool) -> None:
    torch.manual_seed(0)
    block = MBConv(before, after, expand=2, kernel=5, stride=stride).eval()
    images = torch.randn(2, before, 6, 6)
    branch = block.project(block.excite(block.depthwise(block.expand(images))))
    torch.testing.assert_close(block(images), branch + images if adds else branch)
    assert branch.shape == (2, after, 6 // stride, 6 // stride)
    assert block.excite.reduce.out_channels == before // 4, "a quarter of the input, not of the widened maps"


def test_the_first_stage_does_not_widen() -> None:
    block = MBConv(8, 4, expand=1)
    assert isinstance(block.expand, nn.Identity)
    convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    assert [one.groups for one in convolutions] == [8, 1, 1, 1]


def test_stochastic_depth_keeps_the_mean_and_is_silent_when_asked() -> None:
    layer = StochasticDepth(0.25)
    ones = torch.ones(4000, 1, 2, 2)
    torch.manual_seed(0)
    found = layer.train()(ones)
    assert bool(((found == 0) | (found == 1 / 0.75)).all())
    assert bool((found.flatten(1) == found[:, 0, :1, 0]).all()), "an image is dropped whole"
    assert float(found.mean()) == pytest.approx(1, abs=0.03)
    assert layer.eval()(ones) is ones
    with pytest.raises(ValueError, match=r"dropped must be in \[0, 0.95\], got 1"):
        StochasticDepth(1)


def test_deeper_blocks_are_dropped_more_and_the_first_never() -> None:
    with torch.device("meta"):
        net = zoo.efficientnet_b0()
    found = [module.dropped for module in net.modules() if isinstance(module, StochasticDepth)]
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] < 0.2


def test_it_answers_as_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.efficientnet_b0(num_classes=5).eval()
    scatter_norms(theirs)
    ours = zoo.efficientnet_b0(classes=5).eval()
    ours.load_state_dict(zoo.from_torchvision("efficientnet_b0", theirs.state_dict()))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [f"efficientnet_b{number}" for number in (1, 2, 3, 4, 7)])
def test_every_tensor_of_torchvisions_has_its_place(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        other, net = getattr(models, name)(), zoo.build(name, classes=1000)
    renamed = zoo.from_torchvision(name, other.state_dict())
    assert {key: value.shape for key, value in renamed.items()} == {
        key: value.shape for key, value in net.state_dict().items()
    }
    theirs, ours = ([m.eps for m in one.modules() if isinstance(m, nn.BatchNorm2d)] for one in (other, net))
    assert theirs == ours
    rates = [{m.p for m in one.modules() if isinstance(m, nn.Dropout)} for one in (other, net)]
    assert rates[0] == rates[1]


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 0.95\], got -1"):
        zoo.efficientnet_b0(dropout=-1)
