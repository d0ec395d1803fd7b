import pytest
import torch
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.zoo.densenet import DenseBlock, DenseLayer, DenseNet, Transition


def test_stage_sizes() -> None:
    with torch.device("meta"):
        large, small = zoo.densenet121(), zoo.densenet_bc_100_12()
    for net, size, sides in ((large, 224, [56, 28, 14, 7]), (small, 32, [32, 16, 8])):
        assert isinstance(net, DenseNet)
        shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
        assert [shapes[name][2:] for name in net.stages] == [(side, side) for side in sides]
    assert shapes["blocks.block1"][1] == 24 + 16 * 12
    assert shapes["blocks.transition1"][1] == (24 + 16 * 12) // 2


@pytest.mark.parametrize("is_plain", [False, True])
def test_each_layer_of_a_block_sees_all_maps_before_it(is_plain: bool) -> None:
    torch.manual_seed(0)
    block = DenseBlock(3, 3, 2, is_plain=is_plain).eval()
    images = torch.randn(2, 3, 4, 4)
    found = block(images)
    assert found.shape == (2, 3 + 3 * 2, 4, 4)
    for number, layer in enumerate(block):
        seen = 3 + 2 * number
        torch.testing.assert_close(layer(found[:, :seen]), found[:, seen : seen + 2])
    torch.testing.assert_close(found[:, :3], images)


def test_a_bottleneck_has_four_times_the_growth() -> None:
    layer, plain = DenseLayer(10, 3), DenseLayer(10, 3, is_plain=True)
    assert [(c.in_channels, c.out_channels) for c in layer.modules() if isinstance(c, nn.Conv2d)] == [(10, 12), (12, 3)]
    assert [(c.in_channels, c.out_channels) for c in plain.modules() if isinstance(c, nn.Conv2d)] == [(10, 3)]


def test_a_transition_keeps_half_the_channels_and_means_of_2_x_2() -> None:
    torch.manual_seed(0)
    transition = Transition(5).eval()
    images = torch.randn(1, 5, 4, 4)
    mixed = transition.conv(torch.relu(images / (1 + 1e-5) ** 0.5))
    torch.testing.assert_close(transition(images)[0, :, 0, 1], mixed[0, :, :2, 2:].mean(dim=(1, 2)))
    assert (transition(images).shape[1], Transition(5, theta=1.0).conv.out_channels) == (2, 5)


def test_it_answers_as_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.densenet121(num_classes=5).eval()
    scatter_norms(theirs)
    ours = zoo.densenet121(classes=5).eval()
    ours.load_state_dict(zoo.from_torchvision("densenet121", theirs.state_dict()))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["densenet161", "densenet169", "densenet201"])
def test_every_tensor_of_torchvisions_has_its_place(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs, ours = getattr(models, name)().state_dict(), zoo.build(name, classes=1000).state_dict()
    renamed = zoo.from_torchvision(name, theirs)
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in ours.items()}


def scatter_norms(network: nn.Module) -> None:
    """Statistics and weights that make every norm matter."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight):
                nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]
            for tensor in (module.running_mean, module.bias):
                nn.init.normal_(tensor, 0, 0.1)  # type: ignore[arg-type]


def test_refuses() -> None:
    for size in (16, 31, 64):
        told = f"densenet121 has no layout for {size} x {size} images: bring them to a side larger than 64"
        with pytest.raises(ValueError, match=told):
            zoo.densenet121(size=size)
    with pytest.raises(ValueError, match="densenet121 has no layout for 32 x 32 images"):
        zoo.densenet121(size=32)
    with pytest.raises(ValueError, match="densenet_40_12 has no layout for 224 x 224 images"):
        zoo.densenet_40_12(size=224)
    with pytest.raises(ValueError, match="densenet_40_12 at 3 x 3 collapses in transition2"):
        zoo.densenet_40_12(size=3)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 0.95\], got 2"):
        zoo.densenet_40_12(dropout=2)
    for theta in (0.1, 0.0, 1.5):
        with pytest.raises(ValueError, match=r"theta must be in \(0, 1\] and leave a channel of 5, got"):
            Transition(5, theta=theta)
