"""Matching by views: two pictures that differ by any turn, or by much in size, matched as one of many turned copies.

J.-M. Morel, G. Yu, "ASIFT: A New Framework for Fully Affine Invariant Image Comparison", SIAM Journal on Imaging
Sciences 2(2), 2009: views are simulated, in small first, and the best ones matched in full; here turns and sizes, no
tilts. https://doi.org/10.1137/080732730
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count, check_images
from pellucid.progress import steps

from .align import LEAST, aligned
from .match_images import MatchedImages, match_images

COARSE, COARSE_FINE = 200, 4
"""Longer side, in pixels, in which every view is looked at first, and the step between the second's patches there."""

ZOOM = math.sqrt(2)
"""From one size to the next."""

CHOSEN = 3
"""Views that are matched in full."""

LARGEST = 32.0
"""Scales that are asked for in the pixels given, at most."""


@dataclass(frozen=True)
class View:
    """How both pictures are changed before they are matched."""

    turn: float  # of the second, clockwise, in degrees
    zoom: float  # how many times larger the second is taken to show things: the larger one is reduced


@torch.no_grad()
def match_views(
    first: Tensor,
    second: Tensor,
    *,
    turns: int = 12,
    zooms: int = 5,
    patch: int = 16,
    stride: int = 8,
    fine: int = 2,
    ratio: float = 0.8,
    tolerance: float = 4.0,
    generator: torch.Generator | None = None,
) -> MatchedImages:
    """Match two pictures that may be turned by any angle and differ up to some 2.4 times in size.

    Dense descriptors are neither turned nor scaled: so the second picture is turned step by step, and either is reduced
    step by step. Every such view is matched in small, the three that most matches agree on in full.

    Args:
        first: (1, 1 or 3, H, W), float, in [0, 1].
        second: (1, 1 or 3, h, w), float, in [0, 1].
        turns: of the second picture, evenly around, at least 1; 12 are 30 degrees apart.
        zooms: sizes, an odd number, each 1.41 times the one before, the middle one as it is; at least 1.
        patch: side of a patch, in pixels, a multiple of 4; a larger one is surer and placed less well.
        stride: step between the first picture's patches, in pixels, at least 1.
        fine: step between the second picture's patches, in pixels, at least 1: how well a match can be placed.
        ratio: a match is at most so many times as far as the next elsewhere (half a patch off), in (0, 1].
        tolerance: a match agrees within so many pixels, above 0; in views, of what was reduced.
        generator: which matches are asked for their similarity; None is seed 0.

    Returns:
        The matches of the best view, in pixels of the pictures given, and the alignment that most agree with.

    Raises:
        ValueError: as match_images, or a number of views out of its range.
    """
    check_count("turns", turns, 1, 360)
    check_count("zooms", zooms, 1, 9)
    if zooms % 2 == 0:
        raise ValueError(f"zooms must be odd, so that the middle one is 1, got {zooms}")
    for image in (first, second):
        check_images(image)
        if min(image.shape[-2:]) < patch:
            wide, tall = image.shape[-1], image.shape[-2]
            raise ValueError(f"patch must be at most the pictures' shorter side, got {patch} for {wide} x {tall}")
    small = min(1.0, COARSE / max(*first.shape[-2:], *second.shape[-2:]))
    views = [View(360 * turn / turns, ZOOM**power) for power in _powers(zooms) for turn in range(turns)]

    def found(view: View, size: float, step: int) -> MatchedImages | None:
        one, other = _reduced(first, size * min(1.0, view.zoom)), _reduced(second, size * min(1.0, 1 / view.zoom))
        turned = _turned(other, view.turn)
        if min(*one.shape[-2:], *turned.shape[-2:]) < patch:
            return None
        made = match_images(
            one, turned, patch=patch, stride=stride, fine=step, ratio=ratio, tolerance=tolerance, generator=generator
        )
        starts = _enlarged(made.first, one, first)
        ends = _enlarged(_turned_back(made.second, other, turned, view.turn), other, second)
        inside = ((ends >= -0.5) & (ends <= ends.new_tensor(second.shape[-2:]) - 0.5)).all(dim=1)
        unit = tolerance * second.shape[-1] / other.shape[-1]  # what is near in the reduced picture
        return _joined(starts[inside], ends[inside], made.ratio[inside], unit, generator)

    tried = []
    with steps("views", len(views)) as done:
        for view in views:
            tried.append((_agreed(found(view, small, COARSE_FINE)), view))
            done(1)
    tried.sort(key=lambda one: -one[0])  # of equal ones the first: as they are, then the nearest in size
    full = [made for _, view in tried[:CHOSEN] if (made := found(view, 1.0, fine)) is not None]
    return max(full, key=_agreed)


def _powers(zooms: int) -> list[int]:
    """0, 1, -1, 2, -2, ...: the nearest in size first."""
    return sorted(range(-(zooms // 2), zooms // 2 + 1), key=lambda power: (abs(power), -power))


def _reduced(image: Tensor, factor: float) -> Tensor:
    """So many times as large; 1 leaves it as it is."""
    size = [max(1, round(side * factor)) for side in image.shape[-2:]]
    if factor == 1:
        return image
    return F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _enlarged(places: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Places (M, 2) of a reduced picture in the one it was made of."""
    factor = places.new_tensor([large.shape[axis] / small.shape[axis] for axis in (-2, -1)])
    return (places + 0.5) * factor - 0.5


def _turned(image: Tensor, degrees: float) -> Tensor:
    """Clockwise about its middle, on a canvas that holds all of it; beyond the border it goes on as it ends."""
    if degrees == 0:
        return image
    tall, wide = image.shape[-2:]
    down, across = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    size = [math.ceil(round(tall * down + wide * across, 6)), math.ceil(round(wide * down + tall * across, 6))]
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in size), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1).to(image)
    back = _about(places, size, (tall, wide), -degrees)  # (M, 2), row and column in the picture
    middle = back.new_tensor([max(1, tall - 1) / 2, max(1, wide - 1) / 2])
    taken = (back / middle - 1).flip(1).view(1, *size, 2)
    return F.grid_sample(image, taken, mode="bilinear", padding_mode="border", align_corners=True)


def _turned_back(places: Tensor, image: Tensor, turned: Tensor, degrees: float) -> Tensor:
    """Places (M, 2) of a turned picture in the one it was made of."""
    return _about(places, turned.shape[-2:], image.shape[-2:], -degrees)


def _about(places: Tensor, before: Sequence[int], after: Sequence[int], degrees: float) -> Tensor:
    """Places (M, 2) turned clockwise about the middle of one frame, which becomes the middle of another."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    old, new = (places.new_tensor([(side - 1) / 2 for side in frame]) for frame in (before, after))
    down, across = (places - old).unbind(dim=1)
    return torch.stack([cosine * down + sine * across, cosine * across - sine * down], dim=1) + new


def _joined(
    starts: Tensor, ends: Tensor, ratio: Tensor, tolerance: float, generator: torch.Generator | None
) -> MatchedImages:
    """Matches in the pixels of the pictures given, and the alignment of those."""
    alignment = None
    if len(starts) >= LEAST["similarity"]:
        alignment = aligned(starts, ends, "similarity", tolerance=tolerance, largest_scale=LARGEST, generator=generator)
    return MatchedImages(starts, ends, ratio, alignment)


def _agreed(found: MatchedImages | None) -> int:
    return 0 if found is None or found.alignment is None else int(found.alignment.agreed.sum())
