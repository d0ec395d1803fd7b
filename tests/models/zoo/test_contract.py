"""What holds for every network of the zoo; on the meta device where nothing has to be computed."""

import inspect
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.methods import options
from pellucid.models import cam_layers, zoo
from pellucid.models.probes import activations
from pellucid.models.zoo._build import construct, default, fed, module_of, names

from .nets import SMALL, UNTRIED, scatter_norms, small, stages

each = pytest.mark.parametrize("name", names())
each_kind = pytest.mark.parametrize("kind", SMALL)


def laid_out(name: str) -> dict[int, nn.Module]:
    """The architecture for 32, 224 and its own size, of those that it takes; on the meta device."""
    found = {}
    refusal = ""
    for size in sorted({32, 224, default(name, "size")}):
        try:
            with torch.device("meta"):
                found[size] = construct(name, {"classes": 7, "size": size, "channels": 3})
        except ValueError as error:
            refusal = str(error)
        assert size in found or f"has no layout for {size} x {size} images" in refusal
    return found


def test_the_face_lists_every_architecture_of_the_folder() -> None:
    found = set()
    for file in pkgutil.iter_modules(zoo.__path__):
        if file.name.startswith("_"):
            continue
        module = __import__(f"pellucid.models.zoo.{file.name}", fromlist=["_"])
        made = {name for name, value in vars(module).items() if inspect.isfunction(value) and is_own(value, module)}
        found |= {name for name in made if "classes" in inspect.signature(getattr(module, name)).parameters}
    assert found == set(names())
    assert set(zoo.__all__) == {*names(), "build", "from_torchvision"}


def is_own(function: Any, module: Any) -> bool:
    return bool(function.__module__ == module.__name__) and not function.__name__.startswith("_")


@each
def test_every_option_is_told_and_of_a_plain_kind(name: str) -> None:
    told = options(getattr(zoo, name))
    assert {"classes", "size", "channels"} <= {option.name for option in told}
    for option in told:
        assert option.annotation in {int, float, bool, str}
        assert isinstance(option.default, option.annotation)
        assert len(option.told) <= 119


@each
def test_logits_stages_and_head(name: str) -> None:
    found = laid_out(name)
    assert default(name, "size") in found
    for size, network in found.items():
        images = torch.empty(2, 3, size, size, device="meta")
        network.eval()
        names = stages(network)
        with activations(network, names) as recorded:
            logits = network(images)
        assert logits.shape == (2, 7)
        sides = [recorded[stage].shape[-1] for stage in names]
        assert all(recorded[stage].ndim == 4 for stage in names)
        assert sides == sorted(set(sides), reverse=True), "one stage of each side, the largest first"
        head = network.head
        assert isinstance(head, nn.Linear | nn.Conv2d)
        assert 7 in {getattr(head, "out_features", 0), getattr(head, "out_channels", 0)}


POOLING = [
    # one of each kind of network that pools over all positions, with a size that it was not laid out for
    *(("densenet_40_12", 40), ("densenet_bc_100_12", 40), ("efficientnet_b0", 40), ("googlenet", 40)),
    *(("mobilenet_v1", 40), ("nin", 40), ("resnet18", 40), ("resnet20", 40), ("resnext29_8x64d", 40), ("wrn_16_4", 40)),
    *(("densenet121", 104), ("efficientnet_b0", 104), ("googlenet", 104), ("googlenet_bn", 104), ("nin", 104)),
    *(("resnet50", 104), ("se_resnet18", 104)),
]


@pytest.mark.parametrize(("name", "size"), POOLING)
def test_a_net_that_pools_over_all_positions_takes_other_sizes(name: str, size: int) -> None:
    with torch.device("meta"):
        with pytest.warns(UserWarning, match=f"{name} was not laid out for {size} x {size} images"):
            network = zoo.build(name, classes=7, size=size).eval()
        assert network(torch.empty(1, 3, size + 8, size)).shape == (1, 7)  # nor need they be square


@each
def test_how_it_is_fed_fits_it(name: str) -> None:
    frame = fed(name)
    assert frame["size"] == default(name, "size")
    assert len(frame["mean"]) == len(frame["std"]) == default(name, "channels")
    gray = fed(name, size=96, channels=1)
    assert (gray["size"], gray["resize"], len(gray["mean"])) == (96, 110, 1)
    assert "resize" not in fed(name, size=32)


def test_every_file_has_a_kind_that_is_computed() -> None:
    files = {module_of(name).__name__.rpartition(".")[2] for name in names()}
    tried = {module_of(name).__name__.rpartition(".")[2] for name, _, _ in SMALL.values()}
    assert files - tried == set(UNTRIED)


@each_kind
def test_an_image_is_answered_alone(kind: str) -> None:
    network, images = small(kind)
    scatter_norms(network.eval())
    with torch.no_grad():
        together, alone = network(images), network(images[2:3])
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)
    assert together.std(dim=0).max() > 1e-6  # they do differ


@each_kind
def test_the_gradient_reaches_every_parameter(kind: str) -> None:
    network, images = small(kind)
    scatter_norms(network.train())
    answers = network(images)
    answers = answers if isinstance(answers, tuple) else (answers,)
    assert {tuple(answer.shape) for answer in answers} == {(4, 5)}
    weights = torch.linspace(-1, 1, 20).view(4, 5)
    torch.autograd.backward(torch.stack([(answer * weights).sum() for answer in answers]).sum())
    lost = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert lost == []


@each_kind
def test_grad_cam_finds_the_last_maps(kind: str) -> None:
    network, images = small(kind)
    shape = tuple(images.shape[1:])
    best = cam_layers(network, shape)
    last = stages(network)[-1]
    with activations(network.eval(), [last]) as recorded:
        network(images)
    if recorded[last].shape[-1] > 1:
        with activations(network, [best[0]]) as found:
            network(images)
        # LeNet's last maps are a pool's; the layer that computes is the convolution before it
        assert found[best[0]].shape[-1] in {
            recorded[last].shape[-1],
            *([10] if kind in {"lenet5", "lenet5_bn"} else []),
        }


TOTAL_STRIDES = [
    ("digits_cnn", {"width": 2, "channels": 3}, 2),
    ("resnet_cifar", {"depth": 8}, 4),
    ("wide_resnet", {"depth": 10, "width": 1}, 4),
    ("mobilenet_v1", {"width": 0.05, "size": 32}, 16),
]


@pytest.mark.parametrize(("name", "arguments", "stride"), TOTAL_STRIDES)
def test_a_shift_by_the_total_stride_shifts_the_maps(name: str, arguments: dict[str, Any], stride: int) -> None:
    """A bright patch on black: with no bias yet, black stays black, so that the edge cannot be told."""
    torch.manual_seed(0)
    network = construct(name, {"classes": 3, **arguments}).double().eval()
    for bias in (p for n, p in network.named_parameters() if n.endswith("bias")):
        bias.data.zero_()
    side = 32 * stride
    images = torch.zeros(1, 3, side, side, dtype=torch.float64)
    images[..., side // 2 : side // 2 + 4, side // 2 : side // 2 + 4] = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    last = stages(network)[-1]

    def maps(images: Tensor) -> Tensor:
        with torch.no_grad(), activations(network, [last]) as recorded:
            network(images)
        return recorded[last]

    here, there = maps(images), maps(images.roll((stride, -2 * stride), dims=(2, 3)))
    assert here.shape[-1] == 32
    inside = slice(8, -8)  # what reached the edge is not asked about
    moved = here.roll((1, -2), dims=(2, 3))
    assert moved[..., inside, inside].abs().max() > 0
    torch.testing.assert_close(there[..., inside, inside], moved[..., inside, inside])


OVERFIT = {
    **dict.fromkeys(["digits_cnn", "lenet5", "resnet_cifar A", "resnet_cifar B", "wide_resnet", "mobilenet_v1"], 3e-3),
    **dict.fromkeys(["alexnet", "googlenet", "ladder_net", "lenet5_bn", "resnet18", "se_resnet18"], 1e-3),
}
"""Kinds that learn 64 images in a second or two, and the step; the others are made of the same, or take longer."""


@pytest.mark.parametrize(("kind", "lr"), OVERFIT.items())
def test_it_learns_64_images_by_heart(kind: str, lr: float) -> None:
    network, images = small(kind)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    numbers = torch.Generator().manual_seed(3)
    images = torch.rand(64, *images.shape[1:], generator=numbers) * 2 - 1
    targets = torch.arange(64) % 5
    optimiser = torch.optim.Adam(network.parameters(), lr=lr)
    first = nn.functional.cross_entropy(main(network(images)), targets)
    assert abs(first.item() - torch.tensor(5.0).log().item()) < 0.3  # all classes even at the start
    for _ in range(120):
        optimiser.zero_grad()
        logits = main(network(images))
        torch.autograd.backward(nn.functional.cross_entropy(logits, targets))
        optimiser.step()
        if logits.argmax(dim=1).eq(targets).all():
            break
    assert logits.argmax(dim=1).eq(targets).all()


def main(answers: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The logits of the network itself, not of its auxiliary heads."""
    return answers[0] if isinstance(answers, tuple) else answers


def test_every_file_says_what_it_is() -> None:
    for name in names():
        assert (module_of(name).__doc__ or "").count("http") or name == "lenet5", name
