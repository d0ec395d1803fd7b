import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pellucid import models
from pellucid.models import zoo

IMAGES = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def built(name: str = "ladder_net", **arguments: Any) -> nn.Module:
    torch.manual_seed(3)
    return zoo.build(name, classes=10, **arguments)


ADDED: list[dict[str, Any]] = [
    {"batch_norm": True},
    {"dropout": 0.5},
    {"first": "zca"},
    {"first": "mean_image"},
    {"crop": 28},
    {"batch_norm": True, "dropout": 0.5, "first": "per_image", "crop": 28},
]


@pytest.mark.parametrize("added", ADDED)
def test_an_addition_changes_no_other_first_weight(added: dict[str, Any]) -> None:
    plain, more = dict(built().named_parameters()), dict(built(**added).named_parameters())
    assert set(plain) <= set(more)
    assert all(torch.equal(weights, more[name]) for name, weights in plain.items())
    assert all(name.split(".")[1] == "bn" for name in set(more) - set(plain))


def test_lenet5_bn_begins_as_lenet5() -> None:
    plain, more = built("lenet5", channels=3), built("lenet5_bn")
    same = [name for name, _ in plain.named_parameters() if not name.startswith(("conv1", "conv2"))]
    same += ["conv1.0.weight", "conv1.0.bias", "conv2.0.weight", "conv2.0.bias"]
    assert all(torch.equal(plain.get_parameter(name), more.get_parameter(name)) for name in same)
    kinds = [type(part).__name__ for part in more.get_submodule("conv2").children()]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"]


def test_norms_stand_between_convolution_and_relu() -> None:
    layer = built(batch_norm=True).get_submodule("conv3")
    assert [name for name, _ in layer.named_children()] == ["conv", "bn", "act"]


@pytest.mark.parametrize("added", [{}, *ADDED])
def test_all_classes_are_even_at_the_start(added: dict[str, Any]) -> None:
    network = built(**added).eval()
    loss = nn.functional.cross_entropy(network(IMAGES), torch.arange(8))
    assert abs(loss.item() - math.log(10)) < 0.1


def test_crop_looks_at_the_middle_and_takes_crops_as_they_are() -> None:
    network = built(crop=28).eval()
    torch.testing.assert_close(network(IMAGES), network(IMAGES[..., 2:30, 2:30]))
    assert (network(IMAGES) - network(IMAGES[..., :28, :28])).abs().max() > 0


def test_dropout_is_before_the_last_layer_and_only_in_training() -> None:
    network, plain = built(dropout=0.5), built().eval()
    torch.testing.assert_close(network.eval()(IMAGES), plain(IMAGES))
    network.train()
    assert (network(IMAGES) - network(IMAGES)).abs().max() > 0


def test_a_folder_keeps_what_was_fitted(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = models.create("ladder_net", classes=list("abc"), size=8, first="zca")
    matrix = torch.randn(192, 192)
    model.network.get_submodule("first").fill(torch.rand(3, 8, 8), matrix)  # type: ignore[operator]
    models.save(model.eval(), tmp_path)
    again = models.load(tmp_path)
    torch.testing.assert_close(again(IMAGES[..., :8, :8]), model(IMAGES[..., :8, :8]))
    torch.testing.assert_close(again.network.state_dict()["first.matrix"], matrix)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"size": 4}, "size must be at least 8, got 4"),
        ({"size": 96}, "ladder_net has no layout for 96 x 96 images"),
        ({"crop": 40}, r"crop must be in \[0, 32\], got 40"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"first": "zcaa"}, "first must be one of .* got 'zcaa'; did you mean zca"),
    ],
)
def test_refusals(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        built(**arguments)
