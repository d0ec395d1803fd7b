import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pellucid.models import create, describe, load, save, zoo
from pellucid.models.zoo import _build


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
    with pytest.raises(ValueError, match=r"architecture must be one of .*did you mean digits_cnn"):
        create("digit_cnn", classes=["zero", "one"])


def test_size_says_which_layout_and_none_takes_the_nets_own() -> None:
    with torch.device("meta"):
        own, large, small = (zoo.build("resnet18", classes=10, size=size) for size in (None, 224, 32))
    kernels = [net.get_parameter("stem.conv.weight").shape[-1] for net in (own, large, small)]
    assert kernels == [7, 7, 3]
    with torch.device("meta"):
        assert zoo.build("resnet20", classes=10).get_parameter("stem.conv.weight").shape == (16, 3, 3, 3)


@pytest.mark.parametrize(
    ("name", "size", "layout"),
    [("resnet18", 96, 224), ("resnet18", 48, 32), ("resnet20", 28, 32), ("mobilenet_v1", 128, 224)],
)
def test_a_size_it_was_not_laid_out_for_is_taken_with_a_warning(name: str, size: int, layout: int) -> None:
    message = f"{name} was not laid out for {size} x {size} images: it takes them as it does {layout} x {layout} ones"
    with torch.device("meta"):
        with pytest.warns(UserWarning, match=message):
            net = zoo.build(name, classes=3, size=size)
        assert net(torch.empty(2, 3, size, size)).shape[-1] == 3


def test_no_warning_where_any_size_is_its_own_or_a_file_is_read() -> None:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (8, 28, 300):
            zoo.build("digits_cnn", classes=3, size=size)
        zoo.build("efficientnet_b3", classes=3, size=300)
        _build.construct("resnet18", {"classes": 3, "size": 96})


def test_a_created_model_is_fed_by_its_size() -> None:
    large, small = (create("resnet18", classes=["a", "b"], size=size) for size in (224, 32))
    gray = create("resnet20", classes=["a", "b"], channels=1)
    assert (large.geometry.size, large.geometry.resize) == ((224, 224), 256)
    assert (small.geometry.size, small.geometry.resize) == ((32, 32), None)
    assert small.build == ("resnet18", {"classes": 2, "channels": 3, "size": 32})
    assert gray.build == ("resnet20", {"classes": 2, "channels": 1})
    assert gray.geometry.channels == 1
    assert (_build.fed("resnet18")["mean"], _build.fed("resnet20")["mean"]) == (
        (0.485, 0.456, 0.406),
        (0.4914, 0.4822, 0.4465),
    )
    assert _build.fed("mobilenet_v1", size=192) == {
        "size": 192,
        "resize": 219,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }


def test_a_saved_net_comes_back_with_its_size_and_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="not laid out for 16 x 16"):
        before = create("resnet20", classes=["a", "b"], size=16, shortcut="B").eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(before, tmp_path)
        after = load(tmp_path)
    assert after.build == ("resnet20", {"classes": 2, "channels": 3, "size": 16, "shortcut": "B"})
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(after(images), before(images))


def test_a_size_of_none_is_the_nets_own_in_the_file_too(tmp_path: Path) -> None:
    save(create("lenet5", classes=["a", "b"], size=None), tmp_path)
    assert load(tmp_path).build == ("lenet5", {"classes": 2, "channels": 1})


def test_a_file_from_before_sizes_were_told_loads(tmp_path: Path) -> None:
    model = create("mobilenet_v1", classes=["a", "b"], width=0.05).eval()
    assert model.build is not None
    assert "size" not in model.build[1]
    save(model, tmp_path)
    told = json.loads((tmp_path / "model.json").read_text())
    del told["arguments"]["channels"]
    (tmp_path / "model.json").write_text(json.dumps(told))
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(load(tmp_path)(images), model(images))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "mobilenet_v2",
            {"classes": 2},
            r"architecture must be one of the zoo's \(pellucid zoo lists them\), got 'mobilenet_v2'; did you mean mob",
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
        ("digits_cnn", {"classes": 2, "size": 1}, "size must be at least 2, got 1"),
        ("digits_cnn", {"classes": 2, "size": 8.0}, "size must be a whole number, got 8.0"),
        ("resnet18", {"classes": 2, "size": 0}, r"size must be in \[1, 16384\], got 0"),
        ("resnet18", {"classes": 2, "size": 10**6}, r"size must be in \[1, 16384\], got 1000000"),
        ("resnet18", {"classes": 2, "zero_gamma": 1}, "zero_gamma must be true or false, got 1"),
        ("resnet20", {"classes": 2, "shortcut": 1}, "shortcut must be a word, got 1"),
        ("resnet19", {"classes": 2}, "architecture must be one of .*did you mean resnet1"),
        ("digits_cnn", {"classes": 2, "dropout": 1}, r"dropout must be in \[0, 0.95\], got 1"),
    ],
)
def test_refuses(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.build(name, **arguments)
