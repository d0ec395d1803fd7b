import pytest
import torch
from torch import Tensor, nn

from pellucid.features import extract, gray_model
from pellucid.models import Model

from .nets import model, some_images

GRAY = some_images(channels=1)
EVERY = ("0", "2", "5", "7")


def test_features_equal_those_of_repeated_images() -> None:
    """With a mean and deviation of each channel, and zeros that pad the normalised image."""
    colour = model()
    before = {name: value.clone() for name, value in colour.state_dict().items()}
    gray = gray_model(colour)
    wanted, found = extract(colour, GRAY, EVERY, pool="flat"), extract(gray, GRAY, EVERY, pool="flat")
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert gray.geometry.channels == 1
    assert gray.classes == colour.classes
    assert all(torch.equal(value, before[name]) for name, value in colour.state_dict().items())
    with pytest.raises(ValueError, match=r"images must have shape \(N, 1, H, W\)"):
        gray(some_images())


def test_refuses_what_cannot_be_summed() -> None:
    class Beside(nn.Module):
        """Its images are also met by another layer."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = (self.first(images) + self.second(images)).mean(dim=(2, 3))
            return found

    class Residual(Beside):
        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = (self.first(images) + 9 * images.mean()).mean(dim=(2, 3))
            return found

    options = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "classes": tuple("abcd"), "size": 8}
    for net in (Beside(), Residual()):
        with pytest.raises(ValueError, match="model must give its images to 'first' alone"):
            gray_model(Model(net, **options))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="meet a plain convolution first, but '0' is a Flatten"):
        gray_model(Model(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval(), **options))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes gray ones already"):
        gray_model(model(1))
    with pytest.raises(ValueError, match="eval mode"):
        gray_model(model().train())
