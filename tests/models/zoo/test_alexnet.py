import pytest
import torch
from torch import nn

from pellucid.models import describe, layers, zoo
from pellucid.models.blocks import initialise
from pellucid.models.zoo.alexnet import AlexNet, response_norm


def test_stage_sizes() -> None:
    with torch.device("meta"):
        nets = {"alexnet": zoo.alexnet(), "grouped": zoo.alexnet_grouped(), "small": zoo.alexnet(size=32)}
    found = {}
    for name, net in nets.items():
        shapes = {layer.name: layer.shape for layer in layers(net, 32 if name == "small" else 224)}
        found[name] = [shapes[f"features.{place}"][-1] for place in ("relu1", "pool1", "pool2", "pool5")]
    assert found == {"alexnet": [55, 27, 13, 6], "grouped": [55, 27, 13, 6], "small": [8, 4, 2, 1]}


def test_most_weights_lie_in_the_fully_connected_layers() -> None:
    with torch.device("meta"):
        single, grouped = zoo.alexnet(), zoo.alexnet_grouped()
    shares = [round(describe(net, 224).fully_connected_share, 3) for net in (single, grouped)]
    assert shares == [0.960, 0.962]


def test_response_norm_is_the_papers_formula() -> None:
    maps = torch.rand(2, 9, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 50
    found = response_norm()(maps)
    for channel in range(9):
        beside = maps[:, max(0, channel - 2) : channel + 3].square().sum(dim=1)
        torch.testing.assert_close(found[:, channel], maps[:, channel] / (2 + 1e-4 * beside) ** 0.75)


def test_groups_are_two_nets_side_by_side_but_in_the_third_layer() -> None:
    torch.manual_seed(0)
    net = AlexNet(classes=3, channels=3, dropout=0.5, is_small=False, groups=2, hidden=32)
    groups = [net.features.get_submodule(f"conv{place}").groups for place in range(1, 6)]
    assert groups == [1, 2, 1, 2, 2]
    with torch.device("meta"):
        plain = zoo.alexnet()
    assert not [module for module in plain.modules() if isinstance(module, nn.LocalResponseNorm)]
    loss = net(torch.rand(2, 3, 224, 224)).square().sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_it_answers_as_torchvisions_with_fewer_units() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    with torch.device("meta"):
        whole = models.alexnet()
        renamed, own = zoo.from_torchvision("alexnet", whole.state_dict()), zoo.alexnet().state_dict()
        assert {n: t.shape for n, t in renamed.items()} == {n: t.shape for n, t in own.items()}
    theirs = narrow(whole)
    ours = AlexNet(classes=5, channels=3, dropout=0.5, is_small=False, hidden=6).eval()
    ours.load_state_dict(zoo.from_torchvision("alexnet", theirs.state_dict()))
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def narrow(net: nn.Module) -> nn.Module:
    """The net with few hidden units, so that its start costs no time."""
    for place, (before, after) in {1: (256 * 36, 6), 4: (6, 6), 6: (6, 5)}.items():
        net.set_submodule(f"classifier.{place}", nn.Linear(before, after))
    net.get_submodule("features").to_empty(device="cpu")
    initialise(net)
    return net.eval()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("alexnet", {"size": 227}, "alexnet takes 224 x 224 images there, .* got size 227: resize them, or give adapt"),
        ("alexnet", {"size": 28}, "alexnet at 28 x 28 collapses in pool5: give images of at least 32 x 32"),
        ("alexnet", {"size": 64}, "alexnet takes 32 x 32 images there"),
        ("alexnet_grouped", {"size": 32}, "alexnet_grouped has no layout for 32 x 32 images: bring them to a side lar"),
        ("alexnet_grouped", {"dropout": 1}, r"dropout must be in \[0, 0.95\], got 1"),
    ],
)
def test_refuses(name: str, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        zoo.build(name, classes=10, **arguments)


def test_adaptive_takes_other_sizes() -> None:
    with torch.device("meta"):
        for size in (64, 96, 227):
            net = zoo.alexnet(classes=3, size=size, adaptive=True)
            assert net(torch.empty(1, 3, size, size)).shape == (1, 3)
