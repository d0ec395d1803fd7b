"""Flips and crops, against plain slicing."""

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from pellucid.data import augment

IMAGES = torch.randint(0, 256, (30, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
INDICES = torch.arange(30)


@pytest.mark.parametrize(("name", "axis"), [("hflip", -1), ("vflip", -2)])
def test_a_flip_reverses_and_twice_is_the_identity(name: str, axis: int) -> None:
    policy = augment.policy(f"{name}=1")
    once = policy(IMAGES, INDICES)
    assert torch.equal(once, IMAGES.flip(axis))
    assert torch.equal(policy(once, INDICES), IMAGES)


@pytest.mark.parametrize("name", ["hflip", "vflip"])
def test_about_half_are_flipped(name: str) -> None:
    (chosen,) = augment.policy(name).draw(torch.arange(10_000), (8, 6)).chosen
    assert abs(float(chosen.double().mean()) - 0.5) < 0.02


@pytest.mark.parametrize(("mode", "padding"), [("zero", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize(("pad", "side"), [(2, 0), (0, 5), (3, 7)])
def test_a_crop_is_a_slice_of_the_padded_image(mode: str, padding: str, pad: int, side: int) -> None:
    policy = augment.policy(f"crop={pad}:side={side}:mode={mode}")
    drawn = policy.draw(INDICES, IMAGES.shape, seed=4)
    done = policy.apply(IMAGES, drawn).images
    padded = F.pad(IMAGES.float(), [pad] * 4, mode=padding).to(torch.uint8)
    height, width = (side, side) if side else (8, 6)
    for place in range(30):
        down, right = (int(drawn.values[0][name][place]) + pad for name in ("down", "right"))
        assert torch.equal(done[place], padded[place, :, down : down + height, right : right + width])


def test_offsets_are_uniform_from_zero_to_twice_the_padding() -> None:
    (values,) = augment.policy("crop").draw(torch.arange(20_000), (32, 32), seed=1).values
    for name in ("down", "right"):
        counts = (values[name] + 4).bincount(minlength=9)
        assert len(counts) == 9
        assert chisquare(counts.numpy()).pvalue > 0.001
    together = ((values["down"] + 4) * 9 + values["right"] + 4).bincount(minlength=81)
    assert chisquare(together.numpy()).pvalue > 0.001  # down says nothing about right


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop=1:side=9", r"crop.side must be at most 8 \(image side 6 and padding 1 on both sides\), got 9"),
        ("crop=6:mode=reflect", "crop.pad must be under the image side 6 to be mirrored, got 6"),
    ],
)
def test_refuses_what_does_not_fit(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment.policy(text)(IMAGES, INDICES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop=-1", "crop.pad must be at least 0, got -1"),
        ("crop=4:mode=wrap", "crop.mode must be one of zero, reflect, got 'wrap'"),
        ("crop=0:side=4:p=0.5", "crop.probability must be 1 where a side is given, got 0.5"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augment.policy(text)
