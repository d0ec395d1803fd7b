from typing import Any

import pytest
import torch
from torch import nn

from pellucid.models import create, describe, zoo
from pellucid.models.zoo._build import names


def test_the_face_is_the_list() -> None:
    assert names() == ["digits_cnn", "mobilenet_v1"]


def test_mobilenet_v1_has_the_papers_size() -> None:
    """Table 8 of the paper: 4.2 million weights, 569 million multiply-adds; a quarter of the width: 0.5 and 41."""
    with torch.device("meta"):
        full, quarter = zoo.build("mobilenet_v1", classes=1000), zoo.build("mobilenet_v1", classes=1000, width=0.25)
    found = [(describe(net, 224).weights / 1e6, describe(net, 224).macs / 1e6) for net in (full, quarter)]
    assert [(round(weights, 1), round(macs)) for weights, macs in found] == [(4.2, 569), (0.5, 41)]


@pytest.mark.parametrize(("stride", "size"), [(1, 9), (1, 8), (2, 8), (2, 9), (2, 32)])
def test_mobilenet_v1_pads_as_tensorflow_does(stride: int, size: int) -> None:
    """SAME: ceil(n / s) outputs; for a stride of 2 on an even size nothing is padded left and above."""
    torch.manual_seed(0)
    block = zoo.mobilenet_v1(width=0.05).get_submodule("stem" if stride == 2 else "blocks.0.dw")
    layer = block.get_submodule("conv")
    assert isinstance(layer, nn.Conv2d)
    images = torch.randn(1, layer.in_channels, size, size, dtype=torch.float64)
    out = layer.double()(images)
    assert out.shape[2:] == (-(-size // stride),) * 2
    before = 0 if stride == 2 and size % 2 == 0 else 1
    padded = torch.zeros(1, layer.in_channels, size + 4, size + 4, dtype=torch.float64)
    padded[..., before : before + size, before : before + size] = images
    for row, column in [(0, 0), (1, 2), (out.shape[2] - 1, out.shape[3] - 1)]:
        patch = padded[0, :, row * stride : row * stride + 3, column * stride : column * stride + 3]
        if layer.groups == 1:
            right = torch.einsum("chw,ochw->o", patch, layer.weight)
        else:
            right = (patch * layer.weight[:, 0]).sum(dim=(1, 2))
        torch.testing.assert_close(out[0, :, row, column], right)


def test_digits_cnn_answers_its_classes_at_any_size() -> None:
    net = zoo.digits_cnn(classes=4, channels=3, width=2, dropout=0.5).eval()
    assert net(torch.rand(2, 3, 9, 6)).shape == (2, 4)
    assert describe(zoo.digits_cnn(), (1, 8, 8)).weights == 10 * 32 + 289 * 64 + 2 * 577 * 64 + 65 * 10


def test_a_created_model_is_fed_as_its_file_says_and_is_in_training() -> None:
    model = create("digits_cnn", classes=["zero", "one"], width=2)
    assert model.training
    assert model.geometry.channels == 1
    assert model.build == ("digits_cnn", {"classes": 2, "channels": 1, "width": 2})
    assert create("digits_cnn", classes=["a", "b"], channels=3)(torch.rand(1, 3, 8, 8)).shape == (1, 2)
    with pytest.raises(ValueError, match=r"zoo architecture must be one of .*did you mean digits_cnn"):
        create("digit_cnn", classes=["zero", "one"])


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "mobilenet_v2",
            {"classes": 2},
            "architecture must be one of digits_cnn, mobilenet_v1, got 'mobilenet_v2'; did",
        ),
        ("build", {"classes": 2}, "architecture must be one of"),
        ("os.system", {"classes": 2}, "architecture must be one of"),
        ("mobilenet_v1", {"classes": 10**12}, r"classes must be in \[1, 1000000\], got 1000000000000"),
        ("mobilenet_v1", {"classes": 0}, r"classes must be in \[1, 1000000\], got 0"),
        ("mobilenet_v1", {"classes": 2.5}, "classes must be a whole number, got 2.5"),
        ("mobilenet_v1", {"classes": True}, "classes must be a whole number, got True"),
        ("mobilenet_v1", {"classes": "ten"}, "classes must be a whole number, got 'ten'"),
        ("mobilenet_v1", {"classes": 2, "width": 1e9}, r"width must be in \[0.05, 4\], got 1000000000.0"),
        ("mobilenet_v1", {"classes": 2, "width": float("nan")}, r"width must be in \[0.05, 4\], got nan"),
        ("mobilenet_v1", {"classes": 2, "width": None}, "width must be a number, got None"),
        ("mobilenet_v1", {"classes": 2, "channels": 10**6}, r"channels must be in \[1, 1024\], got 1000000"),
        ("mobilenet_v1", {"classes": 2, "widht": 1}, "mobilenet_v1 has no argument 'widht'; it .*did you mean width"),
        ("mobilenet_v1", {"classes": 2, "name": "x"}, "mobilenet_v1 has no argument 'name'"),
        ("digits_cnn", {"classes": 2, "width": 1.5}, "width must be a whole number, got 1.5"),
        ("digits_cnn", {"classes": 2, "size": 8}, "digits_cnn has no argument 'size'; it takes classes, channels"),
        ("digits_cnn", {"classes": 2, "dropout": 1}, r"dropout must be in \[0, 0.95\], got 1"),
    ],
)
def test_refuses(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.build(name, **arguments)
