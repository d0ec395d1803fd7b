"""Corruptions against scikit-image, Pillow and closed forms; images from elsewhere."""

from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian
from torch import Tensor

from pellucid.data import CORRUPTIONS, OUT_SETS, corrupt, out_set

kinds = pytest.mark.parametrize("kind", CORRUPTIONS)


def some(count: int = 3, side: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth pictures, for blurs change nothing of noise but its size."""
    coarse = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


@kinds
def test_contract(kind: str) -> None:
    images = some()
    before = images.clone()
    noise = torch.random.get_rng_state()
    found = corrupt(images, kind)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(images, before)
    assert torch.equal(noise, torch.random.get_rng_state())
    assert torch.equal(corrupt(images, kind), found), "the same again"
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(corrupt(images[order], kind), found[order], rtol=0, atol=1e-6)
    torch.testing.assert_close(corrupt(images[1:2], kind), found[1:2], rtol=0, atol=1e-6)
    assert corrupt(images.half(), kind).dtype == torch.float16
    torch.testing.assert_close(corrupt(images.double(), kind).float(), found, rtol=0, atol=1e-5)


@kinds
@pytest.mark.parametrize("side", [32, 96])
def test_each_severity_is_worse_than_the_last(kind: str, side: int) -> None:
    images = some(side=side)
    levels = [2, 1, 3, 4, 5] if kind == "saturate" else [1, 2, 3, 4, 5]  # it first takes colour away, then adds some
    far = [float((corrupt(images, kind, severity=level) - images).square().mean()) for level in levels]
    if kind == "saturate":
        assert far[1] < far[0]
        assert far[2] < far[3] < far[4]
    else:
        if (kind, side) != ("pixelate", 32):  # 30 pixels for 32 repeat few, 24 every third
            assert all(one <= 1.001 * other for one, other in pairwise(far)), far
        assert far[0] < 0.8 * far[4]


@kinds
def test_small_and_gray_images(kind: str) -> None:
    assert corrupt(some(side=8), kind, severity=5).shape == (3, 3, 8, 8)
    assert corrupt(some(channels=1), kind, severity=5).shape == (3, 1, 32, 32)
    assert corrupt(some(side=90)[:, :, :, :85], kind, severity=5).shape == (3, 3, 90, 85)


@pytest.mark.parametrize(("side", "deviation"), [(32, 1.0), (96, 6.0)])
def test_gaussian_blur_is_that_of_scikit_image(side: int, deviation: float) -> None:
    images = some(side=side)
    expected = gaussian(images[0].numpy(), sigma=(0, deviation, deviation), mode="nearest", truncate=4)
    np.testing.assert_allclose(corrupt(images, "gaussian_blur", severity=5)[0], expected, atol=1e-5)


def test_colours_are_those_of_scikit_image() -> None:
    images = some()
    hsv = rgb2hsv(images[0].permute(1, 2, 0).numpy())
    raised, richer = hsv.copy(), hsv.copy()
    raised[..., 2] = np.clip(hsv[..., 2] + 0.15, 0, 1)
    richer[..., 1] = np.clip(2 * hsv[..., 1] + 0.1, 0, 1)
    for kind, severity, expected in (("brightness", 3, raised), ("saturate", 4, richer)):
        found = corrupt(images, kind, severity=severity)[0].permute(1, 2, 0)
        np.testing.assert_allclose(found, hsv2rgb(expected), atol=1e-5)
    black = torch.zeros(1, 3, 4, 4)
    torch.testing.assert_close(corrupt(black, "brightness", severity=3), black + 0.15)
    assert torch.equal(corrupt(black + 0.4, "saturate", severity=5), black + 0.4), "gray stays gray"


def test_contrast_and_pixelate() -> None:
    image = torch.tensor([0.2, 0.4, 0.6, 0.8]).view(1, 1, 2, 2)
    expected = torch.tensor([0.35, 0.45, 0.55, 0.65]).view(1, 1, 2, 2)
    torch.testing.assert_close(corrupt(image, "contrast", severity=2), expected)
    fine = some(side=100)
    picture = Image.fromarray(fine[0, 0].numpy()).resize((30, 30), Image.Resampling.BOX)  # 32-bit floats
    boxes = np.array(picture.resize((100, 100), Image.Resampling.BOX))
    np.testing.assert_allclose(corrupt(fine, "pixelate", severity=4)[0, 0], boxes, atol=1e-6)


def test_jpeg_is_that_of_a_file() -> None:
    pixels = (some()[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=40)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    torch.testing.assert_close(corrupt(some(), "jpeg", severity=5)[0], expected)


def test_noises_have_the_moments_of_the_paper() -> None:
    gray = torch.full((4, 3, 64, 64), 0.5)
    noise = corrupt(gray, "gaussian_noise", severity=5) - 0.5
    assert float(noise.std()) == pytest.approx(0.10, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.002)
    assert float(corrupt(gray, "speckle_noise", severity=5).std()) == pytest.approx(0.5 * 0.2, rel=0.02)
    assert float(corrupt(gray, "shot_noise", severity=5).var()) == pytest.approx(0.5 / 50, rel=0.03)
    hit = corrupt(gray, "impulse_noise", severity=5)
    assert float((hit == 0).double().mean()) == pytest.approx(0.035, rel=0.06)
    assert float((hit == 1).double().mean()) == pytest.approx(0.035, rel=0.06)


def test_every_image_has_noise_of_its_own_and_every_seed_another() -> None:
    images = some(2)
    noise = corrupt(images, "gaussian_noise", severity=1) - images
    assert abs(float(torch.corrcoef(noise.flatten(1))[0, 1])) < 0.1
    other = corrupt(images, "gaussian_noise", severity=1, generator=torch.Generator().manual_seed(1)) - images
    assert abs(float(torch.corrcoef(torch.stack([noise.flatten(), other.flatten()]))[0, 1])) < 0.1


@pytest.mark.parametrize("kind", ["gaussian_blur", "defocus_blur", "motion_blur", "zoom_blur"])
@pytest.mark.parametrize("side", [32, 96])
def test_blurs_keep_what_is_even_and_move_no_light(kind: str, side: int) -> None:
    even = torch.full((2, 3, side, side), 0.3)
    torch.testing.assert_close(corrupt(even, kind, severity=5), even)
    if kind != "zoom_blur":
        point = torch.zeros(1, 1, 97, 97)
        point[0, 0, 48, 48] = 1
        spread = corrupt(point, kind, severity=2)
        assert float(spread.sum()) == pytest.approx(1, abs=1e-4)


def test_a_disc_is_round_and_a_trail_is_straight() -> None:
    point = torch.zeros(1, 1, 97, 97)
    point[0, 0, 48, 48] = 1
    disc = corrupt(point, "defocus_blur", severity=1)[0, 0]  # radius 3: 29 pixels
    assert int((disc > 1e-3).sum()) == 29
    torch.testing.assert_close(disc, disc.T)
    torch.testing.assert_close(disc, disc.flip(0))
    trail = corrupt(point, "motion_blur", severity=4)[0, 0]
    rows, columns = (trail > 1e-6).nonzero().double().T
    weights = trail[trail > 1e-6].double()
    away = torch.stack([rows - 48, columns - 48])
    spread = torch.linalg.eigvalsh((away * weights) @ away.T / weights.sum())
    assert float(spread[0]) < 0.5
    assert float(spread[1]) > 40


def test_zoom_keeps_the_centre() -> None:
    image = torch.zeros(1, 1, 33, 33)
    image[0, 0, 16, 16] = 1
    found = corrupt(image, "zoom_blur", severity=5)
    assert (int(found.argmax()) // 33, int(found.argmax()) % 33) == (16, 16)
    assert torch.allclose(found, found.flip(2), atol=1e-6)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of .*, got 'jpg'; did you mean jpeg\?"):
        corrupt(some(), "jpg")
    with pytest.raises(ValueError, match=r"severity must be in \[1, 5\], got 6"):
        corrupt(some(), "jpeg", severity=6)
    with pytest.raises(ValueError, match=r"severity must be a whole number, got 2\.5"):
        corrupt(some(), "jpeg", severity=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="jpeg needs images of 1 or 3 channels, got 2"):
        corrupt(some(channels=2), "jpeg")
    with pytest.raises(ValueError, match="images must be in"):
        corrupt(some() * 255, "contrast")


@pytest.mark.parametrize("kind", OUT_SETS)
def test_out_sets(kind: str) -> None:
    images = some(4, side=16)
    found = out_set(images, kind)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(out_set(images, kind), found)
    assert torch.equal(out_set(images[2:3], kind), found[2:3])
    if kind != "inversion":
        assert not torch.equal(out_set(images, kind, generator=torch.Generator().manual_seed(1)), found)
    with pytest.raises(ValueError, match="kind must be one of"):
        out_set(images, "nothing")


def test_out_sets_by_their_definitions() -> None:
    images = some(4, side=64)
    assert torch.equal(out_set(images, "inversion"), 1 - images)
    shuffled = out_set(images, "pixel_shuffle")
    colours = [sorted(map(tuple, each.flatten(1).T.tolist())) for each in (images[0], shuffled[0])]
    assert colours[0] == colours[1], "whole pixels move"
    uniform = out_set(images, "uniform_noise")
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(uniform.var()) == pytest.approx(1 / 12, rel=0.02)
    normal = out_set(images, "gaussian_noise")
    assert float((normal == 0).double().mean()) == pytest.approx(0.3085, abs=0.01)  # P(N(0.5, 1) < 0)
    with pytest.raises(ValueError, match="kind must be one of"):
        out_set(images, "noise")
