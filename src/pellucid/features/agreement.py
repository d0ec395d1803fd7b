"""Agreement of two pictures: whether they are the same view but for size, compression and a little cropping.

Both are brought to one small gray size, what is coarse (sky above, ground below, which most scenes share) is taken off,
and one is laid over windows of the other: the highest correlation counts.

Normalised correlation: J. Lewis, "Fast Normalized Cross-Correlation", Vision Interface 1995.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_images

from ._small import small

SIDE = 36
"""Of the small pictures that are compared, in pixels."""

WINDOWS = (0.96, 0.92, 0.88, 0.84)
"""Sides of the windows of one picture that the other may be, besides the whole."""

PLACES = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""Where a window lies: in the middle, or in a corner."""

COARSE = 7
"""Pixels of the small picture over which is averaged what is taken off."""

AT_ONCE = 64
"""Pairs that are compared at a time."""


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Of each pair of pictures, how far they are one view: 1 for the same, near 0 for others.

    Args:
        first: (P, C, H, W), float, in [0, 1]; of any size.
        second: (P, C, h, w), likewise.

    Returns:
        (P,), float64, in [-1, 1]; two pictures without any detail agree only when both have none.

    Raises:
        ValueError: no images, or not as many of both.
    """
    check_images(first)
    check_images(second)
    if len(first) != len(second):
        raise ValueError(f"second must be as many as first, {len(first)}, got {len(second)}")
    parts = zip(torch.split(first, AT_ONCE), torch.split(second, AT_ONCE), strict=True)
    return torch.cat([_of_some(_small(one), _small(other)) for one, other in parts])


def _small(images: Tensor) -> Tensor:
    return images if images.shape[1:] == (1, 64, 64) else small(images)


def _of_some(first: Tensor, second: Tensor) -> Tensor:
    """(p,): the best of either picture as a window of the other."""
    whole = [_detail(F.interpolate(one, (SIDE, SIDE), mode="bilinear", antialias=True)) for one in (first, second)]
    best = _correlation(whole[0][:, None], whole[1][:, None])[:, 0]
    for one, other in ((first, whole[1]), (second, whole[0])):
        windows = _windows(one)  # (p, W, SIDE, SIDE)
        found = _correlation(
            _detail(windows.flatten(0, 1)[:, None]).view(windows.shape[0], -1, SIDE * SIDE), other[:, None]
        )
        best = torch.maximum(best, found.amax(dim=1))
    return best.double()


def _windows(images: Tensor) -> Tensor:
    """(p, W, SIDE, SIDE): windows of pictures (p, 1, h, w), of each size nine, at edges and middles."""
    frames = torch.tensor([(side, x * (1 - side), y * (1 - side)) for side in WINDOWS for x, y in PLACES])
    scale = frames[:, 0]
    zero = torch.zeros_like(scale)
    turns = torch.stack([scale, zero, frames[:, 1], zero, scale, frames[:, 2]], dim=1).view(-1, 2, 3).to(images)
    grids = F.affine_grid(turns, [len(turns), 1, SIDE, SIDE], align_corners=False)  # (W, SIDE, SIDE, 2)
    tall = grids.view(1, -1, SIDE, 2).expand(len(images), -1, -1, -1)
    found = F.grid_sample(images, tall, mode="bilinear", padding_mode="border", align_corners=False)
    return found.view(len(images), len(turns), SIDE, SIDE)


def _detail(images: Tensor) -> Tensor:
    """(n, SIDE * SIDE): pictures (n, 1, SIDE, SIDE) less what is coarse in them."""
    padded = F.pad(images, [COARSE // 2] * 4, mode="replicate")
    return (images - F.avg_pool2d(padded, COARSE, stride=1)).flatten(1)


def _correlation(left: Tensor, right: Tensor) -> Tensor:
    """(p, W) of (p, W, D) and (p, 1, D)."""
    left, right = left - left.mean(dim=-1, keepdim=True), right - right.mean(dim=-1, keepdim=True)
    lengths, others = left.norm(dim=-1), right.norm(dim=-1)
    flat, other_flat = lengths < 1e-3, others < 1e-3  # nothing but rounding
    found = (left * right).sum(dim=-1) / (lengths * others).clamp(min=1e-9)
    return torch.where(flat | other_flat, (flat & other_flat).to(found), found)
