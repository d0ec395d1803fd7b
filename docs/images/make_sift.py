"""Make descriptor.png and matches.png: a patch and its dense SIFT descriptor, and two pictures matched by theirs.

    python docs/images/make_sift.py

The photograph is scikit-image's rocket (public domain). It takes seconds.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from torch import Tensor

from pellucid.classic import dense_sift, gradients, grid, match_images
from pellucid.report import descriptor_sheet, matched_pictures

CORNER = (59, 155)
"""Row and column of the patch: the rocket's tip and the sky beside it."""

SCALE, ANGLE, SIDES = 1.15, 10.0, (240, 300)
"""How the second picture is made from the first: larger, turned clockwise, and cut."""


def photograph() -> Tensor:
    """The rocket, every other pixel, (1, 3, 213, 320), in [0, 1]."""
    return F.avg_pool2d(torch.from_numpy(data.rocket()).permute(2, 0, 1)[None].float() / 255, 2)


def turned(image: Tensor) -> Tensor:
    """The same, turned and scaled about its middle."""
    (height, width), (tall, wide) = image.shape[-2:], SIDES
    turn = math.radians(ANGLE)
    down, across = torch.meshgrid(
        torch.arange(tall) - (tall - 1) / 2, torch.arange(wide) - (wide - 1) / 2, indexing="ij"
    )
    from_across = (math.cos(turn) * across + math.sin(turn) * down) / SCALE
    from_down = (math.cos(turn) * down - math.sin(turn) * across) / SCALE
    places = torch.stack([2 * from_across / width, 2 * from_down / height], dim=2)[None]
    return F.grid_sample(image, places, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)


def make(folder: Path) -> None:
    """Both pictures; says how well the second picture was found."""
    image = photograph()
    top, left = CORNER
    number = grid(*image.shape[-2:], stride=1).tolist().index([top, left])
    rows, columns = slice(top, top + 16), slice(left, left + 16)
    descriptor_sheet(
        image[0, :, rows, columns],
        gradients(image)[0, :, rows, columns],
        dense_sift(image, stride=1)[0, number],
        folder / "descriptor.png",
        sigma=8.0,
    )
    other = turned(image)
    found = match_images(image, other)
    if found.alignment is None:
        raise ValueError("the pictures must match, but nothing did")
    matched_pictures(
        image[0], other[0], found.first, found.second, folder / "matches.png", agreed=found.alignment.agreed, most=60
    )
    print(
        f"{int(found.alignment.agreed.sum())} of {len(found.first)} matches agree: scale"
        f" {found.alignment.scale:.3f} (made with {SCALE}), {found.alignment.angle:.2f} degrees (made with {ANGLE:g})"
    )
    for name in ("descriptor.png", "matches.png"):
        with Image.open(folder / name) as picture:
            small = picture.convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
        small.save(folder / name, optimize=True)


if __name__ == "__main__":
    make(Path(__file__).parent)
