import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.models import layers, zoo
from pellucid.models.zoo.googlenet import AUX_WEIGHT, WIDTHS, GoogLeNet, Inception, InceptionAux

from .nets import scatter_norms

OUTPUTS = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}


@pytest.mark.parametrize(
    ("name", "size", "sides"),
    [("googlenet", 224, (28, 14, 7)), ("googlenet_bn", 224, (28, 14, 7)), ("googlenet", 32, (32, 16, 8))],
)
def test_inception_widths_and_sides(name: str, size: int, sides: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        net = getattr(zoo, name)(size=size)
    shapes = {layer.name: layer.shape for layer in layers(net, size)}
    side = dict(zip("345", sides, strict=True))
    for place, width in OUTPUTS.items():
        assert shapes[f"inception{place}"] == (1, width, side[place[0]], side[place[0]])
    if size == 224:
        assert [shapes[f"stem.{layer}"][1:3] for layer in ("conv1", "pool1", "conv3", "pool2")] == [
            (64, 112),
            (64, 56),
            (192, 56),
            (192, 28),
        ]


def test_an_inception_block_is_four_branches_side_by_side() -> None:
    torch.manual_seed(0)
    block = Inception(3, (2, 4, 5, 6, 7, 8))
    maps = torch.randn(2, 3, 6, 6)
    parts = block(maps).split((2, 5, 7, 8), dim=1)

    def conv(values: Tensor, name: str) -> Tensor:
        weight, bias = block.get_parameter(f"{name}.conv.weight"), block.get_parameter(f"{name}.conv.bias")
        return torch.relu(nn.functional.conv2d(values, weight, bias, padding=weight.shape[-1] // 2))

    torch.testing.assert_close(parts[0], conv(maps, "ones"))
    torch.testing.assert_close(parts[1], conv(conv(maps, "threes.reduce"), "threes.wide"))
    torch.testing.assert_close(parts[2], conv(conv(maps, "fives.reduce"), "fives.wide"))
    around = nn.functional.max_pool2d(maps, 3, stride=1, padding=1)
    torch.testing.assert_close(parts[3], conv(around, "pooled.project"))
    assert block.get_parameter("fives.wide.conv.weight").shape[-1] == 5


def test_twenty_two_layers_with_weights_lie_one_behind_another() -> None:
    """Three in the stem, two in each of nine blocks, and the last."""
    with torch.device("meta"):
        net = zoo.googlenet(aux=False)
    stem = [module for module in net.get_submodule("stem").modules() if isinstance(module, nn.Conv2d)]
    assert len(stem) + 2 * len(WIDTHS) + 1 == 22


def test_auxiliary_heads_answer_in_training_only() -> None:
    torch.manual_seed(0)
    net = zoo.googlenet(classes=3, size=8, dropout=0.0)
    images = torch.randn(4, 3, 8, 8)
    main, first, second = net.train()(images)
    assert main.shape == first.shape == second.shape == (4, 3)
    ran: list[str] = []
    for name in ("aux1", "aux2"):
        net.get_submodule(name).register_forward_hook(lambda module, *_: ran.append(type(module).__name__))
    assert net.eval()(images).shape == (4, 3)
    assert ran == []
    bare = zoo.googlenet(classes=3, size=8, aux=False)
    assert isinstance(bare.train()(images), Tensor)
    assert {name.split(".")[0] for name in net.state_dict()} - {name.split(".")[0] for name in bare.state_dict()} == {
        "aux1",
        "aux2",
    }


def test_a_loss_weight_of_zero_is_no_auxiliary_head() -> None:
    """The trunk's gradient is that of the net without heads; with the paper's weight it is the weighted sum."""
    torch.manual_seed(0)
    net, bare = (zoo.googlenet(classes=3, size=8, dropout=0.0, aux=aux) for aux in (True, False))
    bare.load_state_dict({n: t for n, t in net.state_dict().items() if not n.startswith("aux")})
    for head in ("aux1", "aux2"):
        net.get_submodule(head).get_submodule("dropout").eval()
    images, targets = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])

    def gradient(loss: Tensor, of: nn.Module) -> Tensor:
        return torch.autograd.grad(loss, of.get_parameter("inception3a.ones.conv.weight"), retain_graph=True)[0]

    losses = [cross_entropy(logits, targets) for logits in net(images)]
    parts = [gradient(one, net) for one in losses]
    alone = gradient(cross_entropy(bare(images), targets), bare)
    torch.testing.assert_close(parts[0], alone)
    whole = gradient(losses[0] + AUX_WEIGHT * (losses[1] + losses[2]), net)
    torch.testing.assert_close(whole, parts[0] + 0.3 * parts[1] + 0.3 * parts[2], rtol=1e-4, atol=1e-6)
    assert parts[1].abs().max() > 0


def test_the_auxiliary_pool_is_the_papers_at_224_and_adaptive_else() -> None:
    torch.manual_seed(0)
    head = InceptionAux(3, 2).eval()
    maps = torch.randn(1, 3, 14, 14)
    seen: list[Tensor] = []
    head.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(maps)
    torch.testing.assert_close(seen[0][0, :, 1, 2], maps[0, :, 3:8, 6:11].mean(dim=(1, 2)))
    head(maps[..., :8, :8])
    torch.testing.assert_close(seen[1][0, :, 1, 2], maps[0, :, 2:4, 4:6].mean(dim=(1, 2)))


def test_it_answers_as_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.googlenet(num_classes=5, init_weights=False).eval()
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
    scatter_norms(theirs)
    ours = zoo.googlenet_bn(classes=5).eval()
    ours.load_state_dict(zoo.from_torchvision("googlenet_bn", theirs.state_dict()))
    images = torch.randn(1, 3, 100, 100)  # a side at which the pools round up
    with torch.no_grad():
        wanted = theirs(images)
        torch.testing.assert_close(ours(images), wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())
        for head, width in (("aux1", 512), ("aux2", 528)):
            maps = torch.randn(1, width, 14, 14)
            torch.testing.assert_close(
                ours.get_submodule(head)(maps), theirs.get_submodule(head)(maps), rtol=1e-4, atol=1e-4
            )


def test_without_norms_the_signal_keeps_its_size() -> None:
    """All classes are even at the start, though each block squeezes its input to a tenth of the channels."""
    torch.manual_seed(0)
    net = zoo.googlenet(classes=10, aux=False).eval()
    with torch.no_grad():
        logits = net(torch.randn(2, 3, 96, 96))
    assert 0.01 < logits.std() < 1
    assert abs(cross_entropy(logits, torch.tensor([0, 7])).item() - torch.tensor(10.0).log().item()) < 0.7


def test_any_part_can_be_built_alone() -> None:
    assert Inception(8, WIDTHS["3a"], has_norm=True, widest=3)(torch.rand(2, 8, 5, 5)).shape == (2, 256, 5, 5)
    assert InceptionAux(8, 4, has_norm=True)(torch.rand(2, 8, 9, 9)).shape == (2, 4)
    with torch.device("meta"):
        assert isinstance(zoo.googlenet(), GoogLeNet)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("googlenet", {"size": 3}, "googlenet at 3 x 3 collapses in pool4: give images of at least 4 x 4"),
        ("googlenet_bn", {"size": 32}, "googlenet_bn has no layout for 32 x 32 images: bring them to a side larger"),
        ("googlenet", {"dropout": 1.5}, r"dropout must be in \[0, 0.95\], got 1.5"),
        ("googlenet", {"aux": "no"}, "aux must be true or false, got 'no'"),
    ],
)
def test_refuses(name: str, arguments: dict[str, int | str], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        zoo.build(name, classes=10, **arguments)  # type: ignore[arg-type]
