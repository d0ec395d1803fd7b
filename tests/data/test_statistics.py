"""Channel statistics, mean image, per-image standardising: against float64 over everything at once."""

import pytest
import torch

from pellucid.data import channel_statistics, mean_image, standardised, statistics

PIXELS = torch.randint(0, 256, (50, 3, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PIXELS[:, 1] //= 3
VALUES = PIXELS.double() / 255


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, the last of them smaller."""
    monkeypatch.setattr(statistics, "CHUNK", 16)


@pytest.mark.parametrize("pixels", [PIXELS, VALUES, VALUES.float()])
def test_channel_statistics_are_those_of_all_values(pixels: torch.Tensor) -> None:
    before = pixels.clone()
    found = channel_statistics(pixels)
    torch.testing.assert_close(found.mean, VALUES.mean(dim=(0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.std, VALUES.std(dim=(0, 2, 3), correction=0), rtol=1e-6, atol=0)
    assert torch.equal(pixels, before)


def test_normalised_channels_have_mean_zero_and_deviation_one() -> None:
    done = channel_statistics(PIXELS).normalise(PIXELS.float() / 255)
    assert done.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (done.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_a_flat_channel_becomes_zeros() -> None:
    flat = PIXELS.clone()
    flat[:, 2] = 77
    found = channel_statistics(flat)
    assert found.std[2] < 1e-7
    assert found.normalise(flat.float() / 255)[:, 2].abs().max() < 1e-5


def test_the_mean_image_is_the_mean() -> None:
    torch.testing.assert_close(mean_image(PIXELS), VALUES.mean(dim=0), rtol=1e-12, atol=0)


def test_each_image_is_standardised_alone_and_noise_not_blown_up() -> None:
    images = VALUES.clone()
    images[3] = 0.5
    images[4] = 0.5 + 1e-6 * torch.rand(3, 6, 5, dtype=torch.float64)
    done = standardised(images)
    torch.testing.assert_close(done[0], (VALUES[0] - VALUES[0].mean()) / VALUES[0].std(correction=0))
    assert done[3].abs().max() == 0
    assert done[4].abs().max() < 1e-4
    torch.testing.assert_close(standardised(images[:1]), done[:1])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS[0], r"pixels must have shape \(N, C, H, W\)"),
        (PIXELS[:0], r"none of them 0, got \(0, 3, 6, 5\)"),
        (PIXELS.float(), r"images must be in \[0, 1\]"),
    ],
)
def test_refuses(pixels: torch.Tensor, message: str) -> None:
    for function in (channel_statistics, mean_image):
        with pytest.raises(ValueError, match=message):
            function(pixels)
