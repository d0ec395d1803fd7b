import pytest
import torch
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.blocks import BasicBlock, Bottleneck, PadShortcut, PreActBlock
from pellucid.models.zoo.resnext import ResNeXt29

from .nets import scatter_norms

TWINS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


@pytest.mark.parametrize(("size", "sides"), [(224, [56, 28, 14, 7]), (32, [32, 16, 8, 4])])
def test_stage_sizes(size: int, sides: list[int]) -> None:
    with torch.device("meta"):
        net = zoo.resnet18(size=size)
    shapes = {layer.name: layer.shape for layer in layers(net, (3, size, size))}
    assert [shapes[f"stage{number}"][1:] for number in (1, 2, 3, 4)] == [
        (64 * 2**place, side, side) for place, side in enumerate(sides)
    ]


def test_stage_sizes_of_the_thin_nets() -> None:
    with torch.device("meta"):
        nets = {"resnet20": zoo.resnet20(), "wrn_16_4": zoo.wrn_16_4(), "resnext29": zoo.resnext29_8x64d()}
    found = {}
    for name, net in nets.items():
        shapes = {layer.name: layer.shape for layer in layers(net, (3, 32, 32))}
        found[name] = [shapes[stage][1:3] for stage in ("stage1", "stage2", "stage3")]
    assert found == {
        "resnet20": [(16, 32), (32, 16), (64, 8)],
        "wrn_16_4": [(64, 32), (128, 16), (256, 8)],
        "resnext29": [(256, 32), (512, 16), (1024, 8)],
    }


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("stride", [1, 2])
def test_zero_gamma_starts_as_the_shortcut(block: type[BasicBlock | Bottleneck], stride: int) -> None:
    torch.manual_seed(0)
    before, width = (6, 6) if block is BasicBlock else (24, 6)
    made = block(before, width, stride=stride, zero_gamma=True)
    maps = torch.randn(3, before, 6, 6)
    torch.testing.assert_close(made(maps), torch.relu(made.shortcut(maps)))
    assert isinstance(made.shortcut, nn.Identity) == (stride == 1)
    plain = block(before, width, stride=stride)
    assert (plain(maps) - torch.relu(plain.shortcut(maps))).abs().max() > 0.1


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50", "resnext29_8x64d"])
def test_zero_gamma_reaches_every_block_of_a_net(name: str) -> None:
    with torch.device("meta"):
        net = getattr(zoo, name)(zero_gamma=True)
    blocks = [module for module in net.modules() if isinstance(module, BasicBlock | Bottleneck)]
    assert len(blocks) == {"resnet20": 9, "resnet18": 8, "resnet50": 16, "resnext29_8x64d": 9}[name]
    small = zoo.resnet_cifar(depth=8, zero_gamma=True)
    gammas = [p for n, p in small.named_parameters() if n.endswith("conv2.bn.weight")]
    assert len(gammas) == 3
    assert all(not gamma.any() for gamma in gammas)


def test_a_residual_branch_can_take_away() -> None:
    """It ends before its last ReLU: with one there it could only add."""
    torch.manual_seed(0)
    assert BasicBlock(4, 4).branch(torch.randn(2, 4, 5, 5)).min() < -0.1
    assert Bottleneck(16, 4).branch(torch.randn(2, 16, 5, 5)).min() < -0.1


def test_shortcut_a_pads_what_is_new() -> None:
    maps = torch.arange(2 * 16.0).view(1, 2, 4, 4)
    found = PadShortcut(2, 4, stride=2)(maps)
    expected = torch.zeros(1, 4, 2, 2)
    expected[0, 1], expected[0, 2] = maps[0, 0, ::2, ::2], maps[0, 1, ::2, ::2]
    torch.testing.assert_close(found, expected)


def test_one_group_is_the_plain_bottleneck_and_many_are_that_many_convolutions() -> None:
    torch.manual_seed(0)
    plain, one = Bottleneck(8, 2).eval(), Bottleneck(8, 2, groups=1, base_width=64).eval()
    one.load_state_dict(plain.state_dict())
    maps = torch.randn(2, 8, 5, 5)
    torch.testing.assert_close(one(maps), plain(maps))
    grouped = Bottleneck(8, 64, groups=4, base_width=2).conv2.get_submodule("conv")
    assert isinstance(grouped, nn.Conv2d)
    inner = torch.randn(1, 8, 5, 5)
    alone = [
        nn.functional.conv2d(inner[:, 2 * g : 2 * g + 2], grouped.weight[2 * g : 2 * g + 2], padding=1)
        for g in range(4)
    ]
    torch.testing.assert_close(grouped(inner), torch.cat(alone, dim=1))


def test_a_pre_activation_block_by_hand() -> None:
    torch.manual_seed(0)
    block = PreActBlock(3, 5, stride=2).eval()
    scatter_norms(block)
    maps = torch.randn(2, 3, 6, 6)

    def norm(values: torch.Tensor, bn: nn.BatchNorm2d) -> torch.Tensor:
        named = {**dict(bn.named_parameters()), **dict(bn.named_buffers())}
        mean, var, gamma, beta = (named[n][:, None, None] for n in ("running_mean", "running_var", "weight", "bias"))
        return (values - mean) / (var + bn.eps).sqrt() * gamma + beta

    ready = torch.relu(norm(maps, block.bn1))
    inner = nn.functional.conv2d(ready, block.conv1.weight, stride=2, padding=1)
    branch = nn.functional.conv2d(torch.relu(norm(inner, block.bn2)), block.conv2.weight, padding=1)
    assert block.shortcut is not None
    torch.testing.assert_close(block(maps), branch + nn.functional.conv2d(ready, block.shortcut.weight, stride=2))
    same = PreActBlock(5, 5).eval()
    nn.init.zeros_(same.conv2.weight)
    torch.testing.assert_close(same(branch), branch)  # the identity, with no ReLU behind the sum


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d"])
def test_it_answers_as_torchvisions(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None, num_classes=5).eval()
    scatter_norms(theirs)
    ours = getattr(zoo, name)(classes=5).eval()
    ours.load_state_dict(zoo.from_torchvision(name, theirs.state_dict()), assign=True)
    images = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        wanted = theirs(images)
        torch.testing.assert_close(ours(images), wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())


@pytest.mark.parametrize("name", [*TWINS, "wide_resnet50_2", "resnext50_32x4d", "resnext101_32x8d"])
def test_every_tensor_of_torchvisions_has_its_place(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs, ours = models.get_model(name, weights=None), getattr(zoo, name)()
    renamed = zoo.from_torchvision(name, theirs.state_dict())
    assert {n: t.shape for n, t in renamed.items()} == {n: t.shape for n, t in ours.state_dict().items()}


def test_dropout_is_within_the_blocks_of_a_wide_net() -> None:
    net = zoo.wide_resnet(depth=10, width=1, dropout=0.3)
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == [0.3] * 3


def test_a_base_width_widens_the_inside_only() -> None:
    net = ResNeXt29(2, 32, classes=3, channels=1, zero_gamma=False)
    shapes = [net.get_parameter(f"stage{n}.0.conv2.conv.weight").shape for n in (1, 2, 3)]
    assert shapes == [(64, 32, 3, 3), (128, 64, 3, 3), (256, 128, 3, 3)]
    assert net.head.in_features == 1024


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet_cifar", {"depth": 21}, r"depth must be 6 n \+ 2, such as 20 or 26, got 21"),
        ("resnet_cifar", {"depth": 2}, r"depth must be in \[8, 1202\], got 2"),
        ("wide_resnet", {"depth": 20}, r"depth must be 6 n \+ 4, such as 16 or 22, got 20"),
        ("wide_resnet", {"width": 0}, r"width must be in \[1, 64\], got 0"),
        ("wide_resnet", {"dropout": 1.0}, r"dropout must be in \[0, 0.95\], got 1.0"),
        ("resnet20", {"shortcut": "C"}, "shortcut must be one of A, B, got 'C'"),
        ("resnet20", {"size": 224}, "resnet20 has no layout for 224 x 224 images: bring them to a side of at most 64"),
        ("resnet20", {"size": 3}, "resnet20 at 3 x 3 collapses in stage3: give images of at least 4 x 4"),
        ("resnet18", {"size": 3}, "resnet18 at 3 x 3 collapses in stage3: give images of at least 8 x 8"),
        ("wrn_28_10", {"size": 96}, "wrn_28_10 has no layout for 96 x 96 images"),
        ("resnext29_8x64d", {"size": 96}, "resnext29_8x64d has no layout for 96 x 96 images"),
    ],
)
def test_refuses(name: str, arguments: dict[str, int | float | str], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        zoo.build(name, classes=10, **arguments)  # type: ignore[arg-type]
