import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Model, network_of

GIVEN: dict[str, Any] = {"mean": [0.1, 0.2, 0.4], "std": [0.5, 0.25, 1.0], "classes": ["cat", "dog"], "size": 4}


class Mean(nn.Module):
    """logits: the mean of the first and of the last channel, as the network sees them."""

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = images.mean(dim=(2, 3))[:, [0, 2]]
        return found


def test_the_model_normalises_by_itself() -> None:
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    logits = Model(Mean(), **GIVEN)(images)
    means = images.mean(dim=(2, 3))
    torch.testing.assert_close(logits, torch.stack([(means[:, 0] - 0.1) / 0.5, means[:, 2] - 0.4], dim=1))


def test_gradients_reach_the_image_through_the_normalisation() -> None:
    images = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(Model(Mean(), **GIVEN)(images)[0, 0], images)
    torch.testing.assert_close(gradient[0, 0], torch.full((4, 4), 1 / 16 / 0.5))
    assert not gradient[0, 1:].any()


def test_double_images_are_normalised_in_double() -> None:
    logits = Model(Mean(), **{**GIVEN, "mean": [0.0] * 3, "std": [1.0] * 3})(torch.full((1, 3, 4, 4), 1 / 3).double())
    assert logits.dtype == torch.float64


def test_the_network_and_its_mode_are_kept() -> None:
    network = Mean().train()
    model = Model(network, **GIVEN)
    assert model.network is network
    assert model.training
    assert network_of(model) is network
    assert network_of(network) is network
    assert not Model(Mean().eval(), **GIVEN).training


def test_what_it_knows_of_itself() -> None:
    model = Model(Mean(), **{**GIVEN, "size": (4, 6)}, resize=8, interpolation="bicubic", class_ids=["n1", "n2"])
    assert (model.geometry.size, model.geometry.resize, model.geometry.channels) == ((4, 6), 8, 3)
    assert (model.classes, model.class_ids) == (("cat", "dog"), ("n1", "n2"))
    assert list(model.state_dict()) == []  # mean and std belong to no weights file
    assert pickle.loads(pickle.dumps(model)).classes == model.classes


def test_mean_and_std_follow_the_network() -> None:
    with torch.device("meta"):
        network = nn.Conv2d(3, 2, 1)
    assert Model(network, **GIVEN).mean.device.type == "meta"
    model = Model(nn.Conv2d(3, 2, 1), **GIVEN).double()
    assert model.mean.dtype == torch.float64


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (1, 4, 4, 3)])
def test_refuses_images_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images must have shape \(N, 3, H, W\), got"):
        Model(Mean(), **GIVEN)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": [1.0, 1.0]}, "mean and std must have one number a channel, got 3 and 2"),
        ({"mean": [], "std": []}, "mean and std must have one number a channel, got 0 and 0"),
        ({"std": [1.0, 0.0, 1.0]}, "mean must be finite and std positive"),
        ({"std": [1.0, 1e-60, 1.0]}, "mean must be finite and std positive"),
        ({"std": [1.0, -1.0, 1.0]}, "mean must be finite and std positive"),
        ({"mean": [float("nan"), 0.0, 0.0]}, "mean must be finite and std positive"),
        ({"mean": [1e300, 0.0, 0.0]}, "mean must be finite and std positive"),
        ({"classes": "cat"}, "classes must be a list of at least one name, got 'cat'"),
        ({"classes": []}, "classes must be a list of at least one name"),
        ({"class_ids": ["n1"]}, r"class_ids must be as many as classes \(2\), got 1"),
        ({"size": 0}, r"size must be in \[1, 16384\], got 0"),
        ({"size": (4, 4, 4)}, r"size must be one number or \(height, width\), got \(4, 4, 4\)"),
        ({"resize": 3}, "resize must not be smaller than the crop"),
        ({"interpolation": "bilinar"}, "interpolation must be one of .*did you mean bilinear"),
        ({"mean": [0.0, 0.0], "std": [1.0, 1.0]}, "channels must be 1 or 3 to read pictures, got 2"),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Model(Mean(), **{**GIVEN, **change})


def test_refuses_what_is_no_network() -> None:
    with pytest.raises(ValueError, match=r"network must be an nn.Module, got function"):
        Model(lambda images: images, **GIVEN)  # type: ignore[arg-type]
