"""Matching two pictures: the patches they share, and the shift, turn and scale between them.

D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", International Journal of Computer Vision 60(2),
2004, section 7. https://doi.org/10.1023/B:VISI.0000029664.99615.94
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_images

from .align import KINDS, LEAST, Alignment, aligned
from .dense_sift import dense_sift, grid
from .match import match


@dataclass(frozen=True)
class MatchedImages:
    """The patches two pictures share, the surest first.

    Fields:
        first: (M, 2), float, the patches' middles in the first picture, row and column, in pixels.
        second: (M, 2), those in the second.
        ratio: (M,), in [0, 1], the match's distance over the runner-up's; small is sure.
        alignment: what brings one picture onto the other, and which matches agree; None where they fix none.
    """

    first: Tensor
    second: Tensor
    ratio: Tensor
    alignment: Alignment | None


def match_images(
    first: Tensor,
    second: Tensor,
    *,
    patch: int = 16,
    stride: int = 8,
    fine: int = 2,
    orientation: str = "linear",
    cells: str = "linear",
    sigma: float | None = None,
    ratio: float = 0.8,
    mutual: bool = True,
    kind: str = "similarity",
    tolerance: float = 4.0,
    generator: torch.Generator | None = None,
) -> MatchedImages:
    """Match the patches of one picture with those of another, and find the shift, turn and scale between the two.

    Dense descriptors are neither turned nor scaled, so that the pictures may differ by about 20 degrees and a fifth
    in size at most; a larger patch finds more of what is the same, and places it less surely.

    Args:
        first: (1, 1 or 3, H, W), float, in [0, 1].
        second: (1, 1 or 3, h, w), float, in [0, 1].
        patch: side of a patch, in pixels, a multiple of 4.
        stride: step between the first picture's patches, in pixels, at least 1.
        fine: step between the second picture's patches, in pixels, at least 1: how well a match can be placed.
        orientation: hard or linear, as in dense_sift.
        cells: hard or linear, as in dense_sift.
        sigma: standard deviation of the Gaussian weight, in pixels; None is half a patch.
        ratio: the nearest is at most so many times as far as the next elsewhere (half a patch off), in (0, 1].
        mutual: whether the second patch's nearest must be the first in turn.
        kind: similarity (shift, turn and scale) or translation (shift alone).
        tolerance: a match agrees within so many pixels of where it should be, above 0.
        generator: which matches are asked for their similarity; None is seed 0.

    Returns:
        The matches, all of them, and the alignment that most agree with.

    Raises:
        ValueError: not one picture each, one is smaller than a patch, or an option is out of its range.
    """
    check_choice("kind", kind, KINDS)
    check_count("fine", fine, 1)
    sides = []
    for name, image, step in (("first", first, stride), ("second", second, fine)):
        check_images(image)
        if len(image) != 1:
            raise ValueError(f"{name} must be one picture (1, C, H, W), got {len(image)}")
        wide = patch / 2 if sigma is None else sigma
        found = dense_sift(image, patch=patch, stride=step, orientation=orientation, cells=cells, sigma=wide)[0]
        sides.append((found, grid(*image.shape[-2:], patch=patch, stride=step).to(image.device)))
    (one, here), (two, there) = sides
    pairs = match(one, two, there, ratio=ratio, mutual=mutual, apart=patch / 2)
    middle = (patch - 1) / 2
    starts, ends = here[pairs.first] + middle, there[pairs.second] + middle  # (M, 2)
    alignment = None
    if len(pairs) >= LEAST[kind]:
        alignment = aligned(starts, ends, kind, tolerance=tolerance, generator=generator)
    return MatchedImages(starts, ends, pairs.ratio, alignment)
