import json
import math
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from pellucid.models import Description, Model, ReceptiveField, Row, describe

NAMES = ("vgg16", "alexnet", "resnet18", "vit_b_16")


@pytest.fixture(scope="module")
def described() -> dict[str, Description]:
    """The well-known nets, without memory for their weights."""
    found = {}
    for name in NAMES:
        with torch.device("meta"):
            net = torchvision.models.get_model(name, weights=None)
        found[name] = describe(net, (3, 224, 224))
        assert found[name].weights == sum(p.numel() for p in net.parameters())
    return found


def rows(description: Description) -> dict[str, Row]:
    return {row.name: row for row in description.rows}


@pytest.mark.parametrize(
    ("name", "weights", "macs"),
    [
        ("vgg16", 138_357_544, 15_470_264_320),
        ("alexnet", 61_100_840, 714_188_480),
        ("resnet18", 11_689_512, 1_814_073_344),
        ("vit_b_16", 86_567_656, None),
    ],
)
def test_published_sizes(described: dict[str, Description], name: str, weights: int, macs: int | None) -> None:
    assert described[name].weights == weights
    assert macs is None or described[name].macs == macs


def test_vgg16(described: dict[str, Description]) -> None:
    vgg = described["vgg16"]
    named = rows(vgg)
    assert vgg.weights_by_kind == {"convolution": 14_714_688, "fully connected": 123_642_856, "norm": 0, "other": 0}
    dense = [named[f"classifier.{i}"].weights for i in (0, 3, 6)]
    assert dense == [102_764_544, 16_781_312, 4_097_000]
    assert f"{vgg.fully_connected_share:.3f} {dense[0] / sum(dense):.3f}" == "0.894 0.831"
    assert named["features.30"].field == ReceptiveField((212, 212), (32, 32), (15.5, 15.5))
    assert named["classifier.0"].field == ReceptiveField((math.inf, math.inf), (0, 0), (0, 0))
    assert vgg.cam_layers[0] == "features.29"


def test_the_first_dense_layer_of_vgg16_as_a_convolution_sees_404_pixels() -> None:
    with torch.device("meta"):
        net = nn.Sequential(torchvision.models.vgg16().features, nn.Conv2d(512, 4096, 7))
    row = describe(net, (3, 224, 224)).rows[-1]
    assert row.field is not None
    assert row.field.size == (404, 404)
    assert row.weights == 102_764_544  # a filter has one bias, shared over positions
    assert row.field.clipped((224, 224)) == (224, 224)


def test_alexnet(described: dict[str, Description]) -> None:
    assert f"{described['alexnet'].fully_connected_share:.4f}" == "0.9596"


def test_resnet18(described: dict[str, Description]) -> None:
    named = rows(described["resnet18"])
    shapes = {name: named[name].shape for name in ("maxpool", "layer3.0.downsample.1", "layer4.1.conv2", "avgpool")}
    assert shapes == {
        "maxpool": (64, 56, 56),
        "layer3.0.downsample.1": (256, 14, 14),
        "layer4.1.conv2": (512, 7, 7),
        "avgpool": (512, 1, 1),
    }
    field = named["layer4.1.conv2"].field
    assert field is not None
    assert (field.size, field.stride, field.start) == ((435, 435), (32, 32), (0, 0))
    assert named["layer1.0.relu"].calls == 2
    assert described["resnet18"].cam_layers[:4] == ("layer4", "layer3", "layer2", "layer1")


def test_vit(described: dict[str, Description]) -> None:
    vit = described["vit_b_16"]
    assert f"{1 - vit.weights / described['vgg16'].weights:.4f}" == "0.3743"
    width, tokens, layers = 768, 197, 12
    projections = 4 * tokens * width * width
    attention = 2 * tokens**2 * width
    perceptron = 8 * tokens * width * width
    assert vit.macs == layers * (projections + attention + perceptron) + 196 * width * 768 + width * 1000
    named = rows(vit)
    assert named["conv_proj"].field == ReceptiveField((16, 16), (16, 16), (7.5, 7.5))
    first = "encoder.layers.encoder_layer_0.self_attention"
    assert named[first].macs == projections + attention
    assert named[first].field == ReceptiveField((math.inf, math.inf), (0, 0), (0, 0))
    assert named["(network)"].weights == width  # the class token belongs to no layer


def test_with_and_without_memory_the_numbers_are_the_same(described: dict[str, Description]) -> None:
    found = describe(torchvision.models.resnet18(weights=None), (3, 224, 224))
    assert found == described["resnet18"]


def convolutions(*layers: tuple[int, int]) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(1, 1, kernel, stride) for kernel, stride in layers))


@pytest.mark.parametrize(
    ("net", "sides"),
    [
        (convolutions((3, 1), (3, 1), (3, 1)), [3, 5, 7]),
        (convolutions((4, 2), (4, 2)), [4, 10]),
        (convolutions((3, 1), (3, 2)), [3, 5]),  # the stride of a layer counts for the layers after it only
    ],
)
def test_receptive_fields_known_by_heart(net: nn.Module, sides: list[int]) -> None:
    found = [row.field for row in describe(net, (1, 32, 32)).rows]
    assert [field.size for field in found if field] == [(side, side) for side in sides]


def test_sizes_round_down_or_up_as_the_layer_says() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.MaxPool2d(2), nn.MaxPool2d(2, ceil_mode=True))
    assert [row.shape for row in describe(net, (1, 16, 16)).rows] == [(1, 7, 7), (1, 3, 3), (1, 2, 2)]


def test_weights_multiply_adds_and_operations_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), groups=2),  # out 6 x 8 x 6
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AvgPool2d(2),  # out 6 x 4 x 3
        nn.Flatten(),
        nn.Linear(72, 5, bias=False),
        nn.Softmax(dim=1),
    )
    told = [(row.kind, row.weights, row.buffers, row.macs, row.flops) for row in describe(net, (4, 10, 10)).rows]
    assert told == [
        ("Conv2d", 6 * 2 * 15 + 6, 0, 6 * 48 * 2 * 15, 2 * 6 * 48 * 2 * 15),
        ("BatchNorm2d", 12, 13, 0, 2 * 6 * 48),
        ("ReLU", 0, 0, 0, 6 * 48),
        ("AvgPool2d", 0, 0, 0, 72 * 4),
        ("Flatten", 0, 0, 0, 0),
        ("Linear", 360, 0, 360, 720),
        ("Softmax", 0, 0, 0, 5),
    ]


def test_depthwise_separable_convolutions_cost_the_textbook_share() -> None:
    whole = describe(nn.Conv2d(8, 16, 3, padding=1), (8, 20, 20)).macs
    parts = describe(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 16, 1)), (8, 20, 20)).macs
    assert parts / whole == pytest.approx(1 / 16 + 1 / 9)


def test_a_transposed_convolution_costs_one_kernel_an_input() -> None:
    assert describe(nn.ConvTranspose2d(3, 5, 4, stride=2), (3, 7, 7)).macs == 49 * 3 * 5 * 16


def test_twice_the_height_and_width_cost_four_times_as_much() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1), nn.Tanh())
    small, large = describe(net, (3, 16, 12)), describe(net, (3, 32, 24))
    assert (large.macs, large.flops) == (4 * small.macs, 4 * small.flops)
    assert large.activation_bytes == 4 * small.activation_bytes
    assert large.weights == small.weights


def test_activation_bytes_are_the_outputs_of_all_layers() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.AvgPool2d(2))
    assert describe(net, (1, 8, 8)).activation_bytes == 4 * (256 + 256 + 64)


class Odd(nn.Module):
    """Shared weights, a module called twice, one never called, a tuple, functional and in-place operations."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 4, 3, padding=1)
        self.two = nn.Conv2d(1, 4, 3, padding=1)
        self.two.weight = self.one.weight
        self.square = nn.Conv2d(4, 4, 1, bias=False)
        self.act = nn.ReLU(inplace=True)
        self.never = nn.Linear(7, 7)
        self.split = Split()
        self.free = nn.Parameter(torch.ones(4, 4), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        x = self.act(self.one(images)) + self.act(self.two(images))
        x = self.square(self.square(x).relu_())
        left, right = self.split(x)
        found: Tensor = torch.cat([left, right], dim=1).mean(dim=(2, 3)) @ self.free
        return found


class Split(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return images.chunk(2, dim=1)


def test_an_odd_net() -> None:
    net = Odd()
    named = rows(describe(net, (1, 8, 8)))
    assert sum(row.weights for row in named.values()) == sum(p.numel() for p in net.parameters())
    assert (named["one"].weights, named["two"].weights) == (40, 4)  # the kernel is counted once
    assert (named["one"].is_shared, named["two"].is_shared) == (False, True)
    assert (named["act"].calls, named["square"].calls) == (2, 2)
    assert named["square"].macs == 2 * 64 * 16
    assert (named["never"].calls, named["never"].shape, named["never"].field) == (0, None, None)
    assert named["split"].shape == (2, 8, 8)
    assert (named["(network)"].weights, named["(network)"].trainable, named["(network)"].macs) == (16, 0, 16)
    assert list(named)[-1] == "never"


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train(training)
    net[2].train(not training)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    describe(net, (1, 8, 8))
    assert [module.training for module in net] == [training, training, not training]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_fused_attention_shows_its_layers_and_the_switch_is_set_back() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    net = nn.Sequential(nn.Flatten(2), layer)
    named = rows(describe(net, (5, 2, 4)))
    assert named["1.linear1"].macs == 5 * 8 * 16
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_size_comes_from_the_model() -> None:
    model = Model(nn.Conv2d(1, 3, 3), mean=[0.5], std=[0.5], classes=["a", "b", "c"], size=(9, 7))
    assert describe(model).input == (1, 9, 7)
    assert describe(model).rows[0].shape == (3, 7, 5)
    assert describe(model, 11).input == (1, 11, 11)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (None, r"the input size is not known: give size=\(C, H, W\), for instance \(3, 224, 224\)"),
        ((1, 0, 4), r"size must be \(C, H, W\), \(H, W\) or one side, all positive, got \(1, 0, 4\)"),
        (-2, "size must be .* all positive, got -2"),
        ((7,), r"size must be .* got \(7,\)"),
    ],
)
def test_refuses_a_size(size: tuple[int, ...] | int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        describe(nn.Conv2d(1, 1, 1), size)


def refused() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Flatten(), nn.Linear(10, 2)))


class Late(nn.Module):
    """Fails in its own code, after its layers are done."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.inner(images).view(7, 7)
        return found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (refused, r"does not take an image \(3, 8, 8\): layer '1.1' \(Linear\), given \(1, 144\): .*1x144 and 10x2"),
        (Late, r"does not take an image \(3, 8, 8\): Late, given \(1, 3, 8, 8\): shape '\[7, 7\]' is invalid"),
        (lambda: nn.Sequential(nn.Identity(), Late()), r"layer '1' \(Late\), given \(1, 3, 8, 8\): shape"),
    ],
)
def test_an_image_that_does_not_fit_names_the_layer(make: Callable[[], nn.Module], message: str) -> None:
    net = make().train()
    with pytest.raises(ValueError, match=message) as caught:
        describe(net, (3, 8, 8))
    assert "\n" not in str(caught.value)
    assert net.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_json_tells_an_infinite_field_in_a_word() -> None:
    told = describe(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1)), (1, 8, 8)).json()
    read = json.loads(json.dumps(told, allow_nan=False))
    assert [row["field"]["size"] for row in read["layers"]] == [[3, 3], ["image", "image"]]
    assert (read["macs"], read["weights"], read["input"]) == (36 * 18, 20, [1, 8, 8])
