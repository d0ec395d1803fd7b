"""Receptive fields against the support of gradients: positive weights, no nonlinearity, so what is seen is reached."""

import itertools
import math
import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.models import ReceptiveField, describe

SHAPE = (2, 60, 54)


class Net(nn.Module):
    """Any function of the image and of some layers; `last` gives what it returns a row of its own."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.last = nn.Identity()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.last(self.function(images, *self.parts))
        return found


def positive(net: nn.Module) -> nn.Module:
    for parameter in net.double().parameters():
        parameter.data.abs_().add_(0.1)
    return net.eval()


def last_field(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> ReceptiveField | None:
    return [row for row in describe(net, shape).rows if row.calls][-1].field


def support(net: nn.Module, unit: tuple[int, int], shape: tuple[int, ...] = SHAPE) -> list[tuple[int, int]]:
    """First and last pixel, along both axes, on which an output unit depends."""
    images = torch.rand(1, *shape, dtype=torch.float64, requires_grad=True)
    score = net(images)[..., unit[0], unit[1]].sum()
    (gradient,) = torch.autograd.grad(score, images)
    reached = gradient[0].sum(dim=0) != 0
    ends = []
    for dim in (1, 0):
        places = reached.any(dim=dim).nonzero()
        ends.append((int(places.min()), int(places.max())))
    return ends


def middle(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> tuple[int, int]:
    height, width = net(torch.zeros(1, *shape, dtype=torch.float64)).shape[-2:]
    return height // 2, width // 2


def assert_box(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> None:
    """The predicted box of the middle unit, cut at the image's edge, is what its gradient reaches."""
    field = last_field(positive(net), shape)
    assert field is not None
    unit = middle(net, shape)
    for axis, found in enumerate(support(net, unit, shape)):
        centre, reach = field.start[axis] + unit[axis] * field.stride[axis], (field.size[axis] - 1) / 2
        assert found == (max(0, centre - reach), min(shape[axis + 1] - 1, centre + reach)), (axis, field)


def assert_near(net: nn.Module, size: float) -> None:
    """Where units see boxes of several kinds: the largest has the size, and centres are right on average."""
    shape = (2, 18, 16)
    field = last_field(positive(net), shape)
    assert field is not None
    row, column = middle(net, shape)
    boxes = [
        (unit, support(net, unit, shape))
        for unit in itertools.product(range(row - 3, row + 3), range(column - 3, column + 3))
    ]
    for axis in (0, 1):
        assert max(box[axis][1] - box[axis][0] + 1 for _, box in boxes) == size == field.size[axis]
        off = [sum(box[axis]) / 2 - field.start[axis] - unit[axis] * field.stride[axis] for unit, box in boxes]
        assert max(map(abs, off)) <= 0.5
        assert sum(off) == pytest.approx(0, abs=1e-9)


def conv(kernel: int | tuple[int, int] = 3, **options: int) -> nn.Conv2d:
    return nn.Conv2d(2, 2, kernel, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kernel", "stride"), [*itertools.product((1, 2, 3, 5), (1, 2, 3))])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 1), (2, 2), (0, 3)])
def test_one_convolution(kernel: int, stride: int, padding: int, dilation: int) -> None:
    assert_box(nn.Sequential(conv(3), conv(kernel, stride=stride, padding=padding, dilation=dilation)))


@pytest.mark.parametrize("seed", range(12))
def test_a_chance_chain_of_convolutions_and_pools(seed: int) -> None:
    draw = random.Random(seed)
    chain: list[nn.Module] = []
    for _ in range(3):
        kernel, stride = (draw.randint(1, 4), draw.randint(1, 4)), (draw.randint(1, 2), draw.randint(1, 2))
        padding = (draw.randint(0, kernel[0] // 2), draw.randint(0, kernel[1] // 2))
        if draw.random() < 0.4:
            chain.append(nn.AvgPool2d(kernel, stride, padding))
        else:
            chain.append(nn.Conv2d(2, 2, kernel, stride, padding, dilation=draw.randint(1, 2)))
    assert_box(nn.Sequential(*chain))


def test_max_pool_counts_like_average_pool() -> None:
    pairs = [(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1)), (nn.MaxPool2d(2), nn.AvgPool2d(2))]
    for largest, mean in pairs:
        assert last_field(nn.Sequential(conv(), largest), SHAPE) == last_field(nn.Sequential(conv(), mean), SHAPE)


def test_a_dilated_max_pool_counts_its_dilation() -> None:
    field = last_field(nn.MaxPool2d(3, stride=2, dilation=2))
    assert field == ReceptiveField((5, 5), (2, 2), (2, 2))


@pytest.mark.parametrize(
    "net",
    [
        Net(lambda x, a, b: a(x) + b(x), conv(3, padding=1), conv(7, padding=3)),
        Net(lambda x, a, b: torch.cat([a(x), b(x)], dim=1), conv(3, padding=1), conv(5, padding=2)),
        Net(lambda x, a: x + a(x), conv(5, padding=2)),
        Net(lambda x, a, b: a(x)[..., 2:-2, 2:-2] + b(x), conv(3), conv(7)),
        Net(lambda x, a, b: a(x)[..., :-4, 4:] + b(x), conv(3), conv(7)),
        Net(lambda x, a, b: a(x) * b(x), conv(3, padding=0), conv(3, padding=0)),
        Net(lambda x, a, b: torch.stack([a(x), b(x)]).sum(0), conv(3, padding=1), conv(1)),
    ],
    ids=["add", "cat", "skip", "crop and add", "crop aside", "product", "stack"],
)
def test_branches_see_the_union(net: nn.Module) -> None:
    assert_box(net)


@pytest.mark.parametrize(
    "net",
    [
        Net(lambda x, a: a(F.pad(x, (3, 1, 2, 4))), conv(3)),
        Net(lambda x, a: a(F.pad(x, (-3, -1, -2, 0))), conv(3)),
        Net(lambda x, a: a(F.pad(x, (2, 2, 2, 2), mode="reflect")), conv(3)),
        Net(lambda x, a, b: b(a(x)[:, :, 3:, 1:-2]), conv(3), conv(3)),
        Net(lambda x, a, b: b(a(x)[:, :, ::2, 1::3]), conv(3), conv(3)),
        Net(lambda x, a: a(x)[:, :1], conv(3)),
    ],
    ids=["pad", "negative pad", "reflect", "slice", "strided slice", "channel slice"],
)
def test_padding_and_slices_move_the_centre(net: nn.Module) -> None:
    assert_box(net)


def shuffled(images: Tensor, before: nn.Module, after: nn.Module) -> Tensor:
    x = before(images)
    n, c, h, w = x.shape
    found: Tensor = after(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))
    return found


@pytest.mark.parametrize(
    "net",
    [
        Net(shuffled, nn.Conv2d(2, 4, 3), nn.Conv2d(4, 2, 3, stride=2)),
        Net(lambda x, a, b: b(a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), conv(3), nn.Linear(2, 4)),
        Net(lambda x, a, b: b(a(x)[:, [1, 0]]), conv(3), conv(3)),
        Net(lambda x, a, b: b(a(x).flip(1)), conv(3), conv(3)),
        Net(lambda x, a, b: b(torch.cat([*a(x).chunk(2, dim=1)][::-1], dim=1)), conv(3), conv(3)),
        Net(lambda x, a, b: b(a(x).flatten(2).unflatten(2, (58, 52))), conv(3), conv(3)),
        Net(lambda x, a, b: b(a(x).transpose(2, 3).contiguous().transpose(2, 3)), conv(3), conv((3, 1))),
        Net(lambda x, a, b: b(a(x).unsqueeze(1).squeeze(1)), conv(3), conv(3)),
    ],
    ids=["shuffle", "NHWC linear", "index", "flip channels", "chunk", "flatten and back", "transpose", "unsqueeze"],
)
def test_a_change_of_layout_keeps_the_field(net: nn.Module) -> None:
    assert_box(net)


def test_a_linear_layer_as_wide_as_the_map_has_pixels_is_no_product_of_two_maps() -> None:
    net = Net(lambda x, a, b: b(a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Conv2d(2, 16, 3), nn.Linear(16, 16))
    assert_box(net, (2, 6, 6))  # 4 * 4 positions of 16 channels, times a weight of 16 x 16


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [c for c in itertools.product((1, 2, 3, 4, 5), (1, 2, 3), (0, 1)) if c[0] >= c[1]],  # less leaves units blind
)
def test_transposed_convolution(kernel: int, stride: int, padding: int) -> None:
    after = nn.ConvTranspose2d(2, 2, kernel, stride, padding)
    assert_near(nn.Sequential(nn.Conv2d(2, 2, 1), after), math.ceil(kernel / stride))


def test_a_dilated_transposed_convolution_spreads_as_wide() -> None:
    assert_near(nn.Sequential(conv(1), nn.ConvTranspose2d(2, 2, 3, dilation=2)), 5)


@pytest.mark.parametrize(("mode", "size"), [("nearest", 1), ("bilinear", 2), ("bicubic", 4)])
def test_upsampling(mode: str, size: int) -> None:
    assert_near(nn.Sequential(conv(1), nn.Upsample(scale_factor=2, mode=mode)), size)


@pytest.mark.parametrize(("mode", "reach"), [("bilinear", 1), ("bicubic", 3)])
def test_upsampling_with_aligned_corners_keeps_the_corners_where_they_are(mode: str, reach: int) -> None:
    net = nn.Sequential(conv(3, stride=2), nn.Upsample(size=(17, 29), mode=mode, align_corners=True))
    field = last_field(net, (2, 19, 19))  # 9 x 9 units in between, centred on 1, 3, ..., 17
    assert field is not None
    assert field.size == (3 + 2 * reach,) * 2
    assert field.start == (1, 1)
    assert field.stride == pytest.approx((16 / 16, 16 / 28))
    single = last_field(nn.Sequential(conv(1), nn.Upsample(size=1, mode=mode, align_corners=True)), (2, 9, 9))
    assert single is not None
    assert single.start == (0, 0)


def test_upsampling_halves_the_step_and_a_convolution_after_it_adds_half() -> None:
    field = last_field(nn.Sequential(conv(3, stride=2), nn.Upsample(scale_factor=2), conv(3)))
    assert field is not None
    assert field.size == (5, 5)
    assert field.stride == (1, 1)


def attend(images: Tensor, before: nn.Module) -> Tensor:
    x: Tensor = before(images).flatten(2)  # (N, C, T)
    weights: Tensor = (x.transpose(1, 2) @ x).softmax(dim=-1)
    return weights @ x.transpose(1, 2)


def fused(images: Tensor, before: nn.Module) -> Tensor:
    x: Tensor = before(images).flatten(2).transpose(1, 2)[:, None].contiguous()  # (N, 1, T, C)
    return F.scaled_dot_product_attention(x, x, x)


def with_class_token(images: Tensor, before: nn.Module, attention: nn.Module) -> Tensor:
    x = before(images).flatten(2).transpose(1, 2)  # (N, T, C)
    x = torch.cat([x.new_zeros(len(x), 1, x.shape[2]), x], dim=1)
    found: Tensor = attention(x, x, x)[0][:, 0]
    return found


def squeeze_excite(images: Tensor, before: nn.Module, gate: nn.Module) -> Tensor:
    x: Tensor = before(images)
    weights: Tensor = gate(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
    return x * weights


@pytest.mark.parametrize(
    "net",
    [
        Net(squeeze_excite, conv(3), conv(1)),
        Net(lambda x, a: F.adaptive_avg_pool2d(a(x), 1), conv(3)),
        Net(lambda x, a: a(x).amax(dim=(2, 3)), conv(3)),
        Net(lambda x, a: a(x).max(dim=3).values.max(dim=2).values, conv(3)),
        Net(lambda x, a: a(x).flatten(2).mean(2), conv(3)),
        nn.Sequential(conv(3), nn.Flatten(), nn.Linear(2 * 58 * 52, 3)),
        nn.Sequential(conv(3), nn.GroupNorm(1, 2)),
        nn.Sequential(conv(3), nn.InstanceNorm2d(2)),
        Net(attend, conv(3)),
        Net(fused, conv(3)),
        Net(with_class_token, conv(7, stride=7), nn.MultiheadAttention(2, 1, batch_first=True)),
    ],
    ids=[
        "squeeze-excite",
        "pool",
        "amax",
        "max",
        "mean",
        "flatten",
        "group norm",
        "instance norm",
        "product",
        "fused",
        "class token",
    ],
)
def test_what_mixes_all_positions_sees_the_whole_image(net: nn.Module) -> None:
    field = last_field(net)
    assert field is not None
    assert field.size == (math.inf, math.inf)
    assert field.stride == (0, 0)
    assert field.clipped(SHAPE[1:]) == SHAPE[1:]


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(2), nn.Softmax(dim=1), nn.Dropout(), nn.ReLU6(), nn.PReLU()])
def test_what_works_within_a_position_changes_nothing(norm: nn.Module) -> None:
    assert last_field(nn.Sequential(conv(3), norm)) == last_field(nn.Sequential(conv(3)))


def test_layer_norm_over_channels_changes_nothing_and_over_a_row_sees_the_row() -> None:
    channels = Net(lambda x, a: F.layer_norm(a(x).permute(0, 2, 3, 1), (2,)), conv(3))
    field, row = last_field(channels), last_field(Net(lambda x, a: a(x).softmax(dim=3), conv(3)))
    assert field is not None
    assert field.size == (3, 3)
    assert row is not None
    assert row.size == (3, math.inf)


def written_in_parts(images: Tensor, layer: nn.Module) -> Tensor:
    x: Tensor = layer(images)
    whole = torch.zeros_like(x)
    whole[..., ::2] = x[..., 1::2]
    return whole + x


@pytest.mark.parametrize(
    "net",
    [
        Net(lambda x, a: a(x).roll(3, dims=2), conv(3)),
        Net(lambda x, a: a(x).flip(3), conv(3)),
        Net(lambda x, a: torch.cat([a(x), a(x)], dim=3), conv(3)),
        Net(lambda x, a: a(x).unflatten(2, (2, 29)), conv(3)),
        Net(lambda x, a: F.pixel_shuffle(a(x), 2), nn.Conv2d(2, 4, 3)),
        Net(lambda x, a: a(x)[:, :, torch.arange(58).flip(0)], conv(3)),
        Net(lambda x, a: a(x).sort(dim=2).values, conv(3)),
        Net(lambda x, a: F.adaptive_avg_pool2d(a(x), 7), conv(3)),
        Net(lambda x, a, b: a(x) + b(x)[..., :29, :26].repeat(1, 1, 2, 2), conv(3), conv(3)),
        Net(lambda x, a: a(x) + a(x).transpose(2, 3), conv(3)),
        Net(written_in_parts, conv(3)),
    ],
    ids=["roll", "flip", "cat", "cut", "pixel shuffle", "index", "sort", "uneven pool", "repeat", "transpose", "parts"],
)
def test_where_no_formula_holds_none_is_told(net: nn.Module) -> None:
    shape = (2, 60, 60) if "transpose" in str(net.function.__code__.co_names) else SHAPE  # type: ignore[union-attr]
    assert last_field(net, shape) is None


def test_an_operation_without_the_image_has_no_field() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Linear(3, 3)

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = images.mean(dim=(1, 2, 3))[:, None] + self.table(torch.zeros(1, 3))
            return found

    assert last_field(Table(), (2, 8, 8)) is None


def test_a_volume_has_three_axes() -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, (1, 3, 5), stride=(1, 2, 1)), nn.AvgPool3d(2))
    assert last_field(net, (1, 8, 12, 12)) == ReceptiveField((2, 5, 6), (2, 4, 2), (0.5, 2, 2.5))
