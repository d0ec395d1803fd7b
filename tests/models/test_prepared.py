import pytest
import torch

from pellucid.data import Zca, mean_image, standardised
from pellucid.models.prepared import Prepared

IMAGES = torch.rand(40, 2, 3, 3, generator=torch.Generator().manual_seed(0))


def test_mean_image_is_taken_off() -> None:
    layer = Prepared("mean_image", (2, 3, 3))
    torch.testing.assert_close(layer(IMAGES), IMAGES)  # nothing is known yet
    layer.fill(mean_image(IMAGES))
    torch.testing.assert_close(layer(IMAGES).mean(dim=0), torch.zeros(2, 3, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(layer(IMAGES), IMAGES - IMAGES.mean(dim=0))


def test_zca_does_what_data_does() -> None:
    zca = Zca(epsilon=0.01).fit(IMAGES)
    layer = Prepared("zca", (2, 3, 3))
    layer.fill(mean_image(IMAGES), zca.matrix())
    torch.testing.assert_close(layer(IMAGES), zca.transform(IMAGES), atol=1e-5, rtol=1e-5)
    channels_last = IMAGES.to(memory_format=torch.channels_last)
    torch.testing.assert_close(layer(channels_last), layer(IMAGES))


def test_zca_without_epsilon_whitens() -> None:
    layer = Prepared("zca", (2, 3, 3)).double()
    layer.fill(mean_image(IMAGES), Zca(epsilon=0.0).fit(IMAGES).matrix())
    white = layer(IMAGES.double()).flatten(1)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(18, dtype=torch.float64), atol=1e-5, rtol=0)


def test_per_image_does_what_data_does() -> None:
    images = torch.cat([IMAGES, torch.full((1, 2, 3, 3), 0.4)])
    layer = Prepared("per_image", (2, 3, 3))
    assert not layer.state_dict()
    torch.testing.assert_close(layer(images), standardised(images))
    assert layer(images)[-1].abs().max() < 1e-6


def test_none_is_nothing() -> None:
    layer = Prepared("none", (2, 3, 3))
    assert layer(IMAGES) is IMAGES
    assert not layer.state_dict()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="first must be one of none, mean_image, per_image, zca, got 'zac'; did you"):
        Prepared("zac", (2, 3, 3))
    with pytest.raises(ValueError, match="at most 8,192 values to be whitened, got 12,288"):
        Prepared("zca", (3, 64, 64))
