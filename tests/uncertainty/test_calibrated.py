"""A calibrated model is a model: it answers with scaled logits, and comes back from its folder the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import models
from pellucid.models import Model
from pellucid.uncertainty import TemperatureScaling, VectorScaling, calibrated

from .nets import modules, small_images

IMAGES = small_images()


def wrapped(network: nn.Module, build: tuple[str, Mapping[str, Any]] | None = None) -> Model:
    return Model(
        network.eval(), mean=[0.5] * 3, std=[0.25] * 3, classes=list("abcde"), size=8, resize=9, build=build
    ).eval()


def cooled(temperature: float = 2.5) -> TemperatureScaling:
    scaling = TemperatureScaling()
    scaling.temperature_ = temperature
    return scaling


def moved() -> VectorScaling:
    scaling = VectorScaling()
    scaling.weight_ = torch.tensor([0.5, 1.0, -2.0, 1.5, 0.1]).double()
    scaling.bias_ = torch.tensor([0.5, -0.5, 0.3, -0.3, 0.0]).double()
    return scaling


class PooledLast(nn.Module):
    """A convolution with an output for each class, then a mean; a layer of as many outputs before it."""

    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.last = nn.Conv2d(5, 5, 1, bias=bias)
        self.first = nn.Conv2d(3, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.first(images).relu()).mean(dim=(2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize("scaling", [cooled(), moved()], ids=["temperature", "vector"])
@pytest.mark.parametrize("make", [modules, PooledLast, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5))])
def test_it_answers_with_scaled_logits(make: Any, scaling: TemperatureScaling | VectorScaling) -> None:
    model = wrapped(make())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = calibrated(model, scaling)
    with torch.no_grad():
        torch.testing.assert_close(found(IMAGES), scaling.scale(model(IMAGES)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "left untouched"
    assert found.geometry == model.geometry
    assert found.classes == model.classes
    assert found.source["calibration"]["kind"] == type(scaling).__name__


@pytest.mark.filterwarnings("ignore:digits_cnn was not laid out")
def test_it_is_saved_and_loaded_as_any_other(tmp_path: Path) -> None:
    model = models.create("digits_cnn", classes=["0", "1", "2"]).eval()
    found = calibrated(model, cooled(0.7))
    models.save(found, tmp_path / "run")
    images = torch.rand(3, model.geometry.channels, *model.geometry.size)
    with torch.no_grad():
        torch.testing.assert_close(models.load(str(tmp_path / "run"))(images), model(images) / 0.7)


def test_what_cannot_be_folded_is_refused() -> None:
    for network in (nn.Sequential(modules(), nn.Softmax(dim=1)), nn.Sequential(nn.Flatten(), nn.Linear(192, 7))):
        with pytest.raises(ValueError, match="the scaling cannot be folded into the network"):
            calibrated(wrapped(network), cooled())
    bare = wrapped(PooledLast(bias=False))
    with pytest.raises(ValueError, match=r"with an offset, for vector scaling"):
        calibrated(bare, moved())
    torch.testing.assert_close(calibrated(bare, cooled())(IMAGES), bare(IMAGES) / 2.5)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        calibrated(wrapped(modules()).train(), cooled())
    with pytest.raises(ValueError, match=r"model must be a pellucid.models.Model, got Sequential"):
        calibrated(modules(), cooled())  # type: ignore[arg-type]
