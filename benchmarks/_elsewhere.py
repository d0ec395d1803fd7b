"""Images from elsewhere, brought to a classifier's frame: letters as digits, scenes as small photographs."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.data import content_keys, in_memory, open_images
from pellucid.geometry import Geometry

PARTS = {"images_background_small1.zip": (), "images_background_small2.zip": ("Greek", "Latin")}
"""Omniglot's small sets of letters, and the alphabets of the second that are in the first as well."""

BOX, SIDE = 20, 28
"""Sides of the box that holds a digit of MNIST, and of the image whose middle is its centre of mass."""

STROKE = 2.0
"""Width of a pen stroke in that box, in pixels, as MNIST's mostly are; Omniglot's are 3 pixels of 105."""


def letters(folder: Path) -> Tensor:
    """Omniglot's letters (N, 1, 28, 28), float, in [0, 1], made as MNIST's digits were: bright ink, box and centre."""
    found = []
    for name, twice in PARTS.items():
        pixels = in_memory(open_images(folder / "omniglot" / name), Geometry((105, 105), None, "bilinear", 1))
        is_new = torch.tensor([pixels.classes[one] not in twice for one in pixels.targets.tolist()])
        found.append(1 - pixels.images(is_new.nonzero()[:, 0]))
    ink = torch.cat(found)  # (N, 1, 105, 105)
    return _without_twins(torch.stack([_as_digit(one) for one in ink]))


def scenes(folder: Path) -> Tensor:
    """The fifteen scenes (N, 3, 32, 32), float, in [0, 1]; they are gray."""
    images = open_images(folder / "fifteen-scene", split="all")
    return _without_twins(in_memory(images, Geometry((32, 32), None, "bilinear", 3)).images())


def gray(images: Tensor) -> Tensor:
    """Photographs (N, 3, H, W) without their colours, all channels their luma."""
    luma = torch.einsum("nchw,c->nhw", images, images.new_tensor([0.299, 0.587, 0.114]))
    return luma[:, None].expand_as(images).contiguous()


def _as_digit(ink: Tensor) -> Tensor:
    """A letter (1, H, W), bright on black, with its longer side in the box and its centre of mass in the middle."""
    rows, columns = ((ink[0] > 0.5).any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    cut = ink[None, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cut.shape[2:])
    wider = max(0, round((STROKE / scale - 3) / 2))
    cut = F.max_pool2d(F.pad(cut, [wider] * 4), 2 * wider + 1, stride=1, padding=wider)
    height, width = cut.shape[2:]
    scale = BOX / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = F.interpolate(cut, size=size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)[0]
    down, right = (
        (small[0].sum(dim=axis) * torch.arange(length)).sum() / small.sum()
        for axis, length in zip((1, 0), size, strict=True)
    )
    top, left = (
        min(max(round((SIDE - 1) / 2 - float(centre)), 0), SIDE - length)
        for centre, length in zip((down, right), size, strict=True)
    )
    return F.pad(small, (left, SIDE - size[1] - left, top, SIDE - size[0] - top))


def _without_twins(images: Tensor) -> Tensor:
    """The images, of equal ones the first."""
    keys = content_keys(images)
    first = {key: place for place, key in reversed([*enumerate(keys)])}
    return images[sorted(first.values())]
