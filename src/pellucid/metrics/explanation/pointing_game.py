"""Pointing game: does the hottest pixel, and the heat as a whole, lie on the object?

J. Zhang, Z. Lin, J. Brandt, X. Shen, S. Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016,
section 4.1. https://arxiv.org/abs/1608.00507
H. Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks", CVPR Workshops 2020,
section 4.3: the share of the heat inside the box. https://arxiv.org/abs/1910.01279
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_range

from ._heat import check_heat
from .is_flat import is_flat


@dataclass(frozen=True)
class PointingGame:
    """Whether a map points at an object, and what would by chance."""

    hit: Tensor  # (N,), bool: the hottest pixel is on a box, or within the tolerance of one; more is better
    chance: Tensor  # (N,), in [0, 1]: share of the pixels that would be a hit
    energy: Tensor  # (N,), in [0, 1]: share of the positive heat that is inside the boxes; higher is better
    area: Tensor  # (N,), in [0, 1]: share of the pixels inside the boxes, the energy of an even map
    point: Tensor  # (N, 2), int64: row and column of the hottest pixel
    is_flat: Tensor  # (N,), bool: the map points nowhere, so its point is the first pixel

    @property
    def accuracy(self) -> float:
        """Share of hits, in [0, 1]; higher is better."""
        return float(self.hit.cpu().double().mean())


def pointing_game(heat: Tensor, boxes: Sequence[Tensor], *, tolerance: float = 15) -> PointingGame:
    """Whether the hottest pixel lies on the object, and how much of the heat does.

    Args:
        heat: (N, H, W), float, finite; the earlier of two equally hot pixels counts.
        boxes: for each image a tensor (B, 4) of x0, y0, x1, y1 in pixels, B at least 1; a pixel is inside from x0 to
            before x1 and from y0 to before y1.
        tolerance: how far from a box's nearest pixel, in pixels and straight, is still a hit; 15 in the paper.

    Returns:
        PointingGame, on the device of heat.

    Raises:
        ValueError: a map is not finite, or boxes are not one (B, 4) with x0 < x1 and y0 < y1 for each image.
    """
    check_heat(heat)
    check_range("tolerance", tolerance, 0)
    _check_boxes(boxes, len(heat))
    width = heat.shape[2]
    values = heat.cpu()  # not every device has float64
    away = torch.stack([_distance(each.cpu(), values) for each in boxes])  # (N, H, W)
    is_near, is_inside = away <= tolerance, away == 0
    point = values.flatten(1).argsort(dim=1, descending=True, stable=True)[:, :1]  # (N, 1)
    hit = is_near.flatten(1).gather(1, point)[:, 0]
    warm = values.double().clamp(min=0)
    total, inside = warm.sum(dim=(1, 2)), (warm * is_inside).sum(dim=(1, 2))
    energy = torch.where(total > 0, inside / total, torch.zeros_like(total))
    return PointingGame(
        hit=hit.to(heat.device),
        chance=is_near.double().mean(dim=(1, 2)).to(heat),
        energy=energy.to(heat),
        area=is_inside.double().mean(dim=(1, 2)).to(heat),
        point=torch.cat([point // width, point % width], dim=1).to(heat.device),
        is_flat=is_flat(heat),
    )


def _check_boxes(boxes: Sequence[Tensor], images: int) -> None:
    if len(boxes) != images:
        raise ValueError(f"boxes must be one tensor for each of {images} maps, got {len(boxes)}")
    for number, each in enumerate(boxes):
        if each.ndim != 2 or each.shape[1] != 4 or not len(each):
            raise ValueError(f"boxes must have shape (B, 4), B at least 1, got {tuple(each.shape)} for map {number}")
        if not (each[:, :2] < each[:, 2:]).all():
            raise ValueError(f"boxes must have x0 < x1 and y0 < y1, got {each.tolist()} for map {number}")


def _distance(boxes: Tensor, heat: Tensor) -> Tensor:
    """How far each pixel (H, W) is from the nearest pixel of the nearest box, float64, CPU; 0 inside."""
    first, last = boxes[:, :2].double().ceil(), boxes[:, 2:].double().ceil() - 1  # (B, 2), pixels
    sides = []
    for axis, side in ((1, heat.shape[1]), (0, heat.shape[2])):  # rows go with y
        place = torch.arange(side, dtype=torch.float64)
        before, behind = first[:, axis, None] - place, place - last[:, axis, None]  # (B, side)
        sides.append(torch.maximum(before, behind).clamp(min=0))
    return torch.hypot(sides[0][:, :, None], sides[1][:, None, :]).amin(dim=0)
