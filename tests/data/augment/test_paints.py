"""Light and colour: against torchvision, colorsys, and numbers worked out by hand."""

import colorsys

import pytest
import torch
import torchvision.transforms.v2.functional as tv

from pellucid.data import augment
from pellucid.data.augment import paints
from pellucid.data.augment._hashing import keys, normal

IMAGES = torch.rand(12, 3, 9, 7, generator=torch.Generator().manual_seed(0))
INDICES = torch.arange(12)


@pytest.mark.parametrize(
    ("name", "value", "adjust"),
    [
        ("brightness", "light", tv.adjust_brightness),
        ("contrast", "contrast", tv.adjust_contrast),
        ("saturation", "saturation", tv.adjust_saturation),
        ("hue", "turn", tv.adjust_hue),
    ],
)
def test_colour_is_adjusted_as_torchvision_does(name: str, value: str, adjust: object) -> None:
    assert callable(adjust)
    policy = augment.policy(name)
    draws = policy.draw(INDICES, IMAGES.shape, seed=1)
    done = policy.apply(IMAGES, draws).images
    for place in range(12):
        expected = adjust(IMAGES[place], float(draws.values[0][value][place]))
        torch.testing.assert_close(done[place], expected, atol=2e-4, rtol=1e-4)  # its luma weights have 4 digits


def test_hue_is_that_of_colorsys() -> None:
    turn = torch.tensor([0.2], dtype=torch.float64)
    done = paints.Hue().paint(IMAGES[:1], {"turn": turn})
    for y, x in ((0, 0), (4, 3), (8, 6)):
        hue, saturation, value = colorsys.rgb_to_hsv(*IMAGES[0, :, y, x].tolist())
        expected = colorsys.hsv_to_rgb((hue + 0.2) % 1, saturation, value)
        torch.testing.assert_close(done[0, :, y, x], torch.tensor(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue", "noise"])
def test_nothing_of_it_is_the_identity(name: str) -> None:
    torch.testing.assert_close(augment.policy(f"{name}=0")(IMAGES, INDICES), IMAGES, atol=2e-6, rtol=0)


def test_blur_is_torchvisions_gaussian() -> None:
    policy = augment.policy("blur=5:least=0.5:most=1.5")
    draws = policy.draw(INDICES, IMAGES.shape)
    done = policy.apply(IMAGES, draws).images
    for place, sigma in enumerate(draws.values[0]["sigma"].tolist()):
        torch.testing.assert_close(done[place], tv.gaussian_blur(IMAGES[place], [5, 5], [sigma, sigma]))


def test_noise_has_its_deviation_and_no_memory() -> None:
    images = torch.full((500, 3, 8, 8), 0.5)
    noise = (augment.policy("noise=0.05")(images, torch.arange(500)) - 0.5).flatten(1).double()
    assert abs(float(noise.mean())) < 1e-3
    assert abs(float(noise.std()) - 0.05) < 5e-4
    together = torch.corrcoef(noise.T)
    assert float((together - torch.eye(192)).abs().max()) < 0.25  # no two values of an image go together
    assert float(torch.corrcoef(noise[:60]).fill_diagonal_(0).abs().max()) < 0.35  # nor two images


def test_normal_numbers_have_normal_quantiles() -> None:
    numbers = normal(keys(0, 0, 0, torch.arange(100)), 2001)
    assert numbers.shape == (100, 2001)
    levels = torch.tensor([0.01, 0.25, 0.5, 0.75, 0.99])
    expected = torch.special.ndtri(levels)
    torch.testing.assert_close(numbers.flatten()[:200_000].quantile(levels), expected, atol=0.02, rtol=0.01)


def test_solarise_turns_what_is_bright() -> None:
    images = torch.tensor([0.2, 0.5, 0.9]).view(1, 1, 1, 3)
    done = augment.policy("solarise=0.5:p=1")(images, INDICES[:1])
    torch.testing.assert_close(done.flatten(), torch.tensor([0.2, 0.5, 0.1]))


def test_erase_paints_a_square_cut_at_the_edge() -> None:
    policy = augment.policy("erase=4:fill=0.2")
    draws = policy.draw(torch.arange(300), (9, 7))
    done = policy.apply(torch.ones(300, 2, 9, 7), draws).images
    for place in range(300):
        down, right = (int(draws.values[0][name][place]) for name in ("down", "right"))
        expected = torch.ones(2, 9, 7)
        expected[:, max(0, down) : down + 4, max(0, right) : right + 4] = 51 / 255
        assert torch.equal(done[place], expected)
    middles = draws.values[0]["down"] + 2
    assert sorted({*middles.tolist()}) == list(range(9))  # any row may be the middle


def test_gray_images_have_no_colour_to_change_and_five_channels_none_at_all() -> None:
    gray = IMAGES[:, :1]
    assert torch.equal(augment.policy("saturation,hue")(gray, INDICES), gray)
    with pytest.raises(ValueError, match="hue must be asked of images with 1 or 3 channels, got 5"):
        augment.policy("hue")(torch.rand(12, 5, 4, 4), INDICES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hue=0.6", r"hue.fraction must be in \[0, 0.5\], got 0.6"),
        ("brightness=-0.1", r"brightness.fraction must be in \[0, 1\], got -0.1"),
        ("blur=4", "blur.side must be odd, got 4"),
        ("blur=3:least=2:most=1", "blur.least must be at most most, got 2.0 and 1.0"),
        ("erase=8.5", "erase.side must be a whole number, got '8.5'"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment.policy(text)


def test_refuses_a_blur_wider_than_the_image() -> None:
    with pytest.raises(ValueError, match=r"blur.side must be under twice the image's side 7, got 15"):
        augment.policy("blur=15")(IMAGES, INDICES)
