"""Boxes around what a heat map marks, and how well they lie on given ones.

The threshold, a share of the map's maximum, and the largest connected part: B. Zhou et al., "Learning Deep Features
for Discriminative Localization", CVPR 2016, section 3.2. https://arxiv.org/abs/1512.04150
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from pellucid.checks import check_choice, check_count


@dataclass(frozen=True)
class Box:
    """Columns [x0, x1) and rows [y0, y1) of an image, in pixels."""

    image: int  # place in the batch
    x0: int
    y0: int
    x1: int
    y1: int
    score: float = 1.0  # mean heat of the part it surrounds; of a given box 1


def heat_boxes(heat: Tensor, *, threshold: float = 0.2, which: str = "largest", min_area: int = 1) -> tuple[Box, ...]:
    """Boxes around the connected parts of each map that are hotter than a share of its maximum.

    Pixels that touch at a side or a corner are connected. A map without a positive value has no box,
    of which is warned.

    Args:
        heat: (N, H, W), float, positive = evidence.
        threshold: share of the map's maximum a pixel must exceed, between 0 and 1, both excluded.
        which: largest (one box a map, around the part of most pixels) or all.
        min_area: pixels a part must have, at least 1.

    Returns:
        By image, the part of most pixels first.

    Raises:
        ValueError: an argument is out of its range.
    """
    if heat.ndim != 3 or not heat.is_floating_point() or not heat.isfinite().all():
        raise ValueError(f"heat must be finite floats (N, H, W), got {heat.dtype} {tuple(heat.shape)}")
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, both excluded, got {threshold}")
    check_choice("which", which, ("largest", "all"))
    check_count("min_area", min_area, 1)
    found: list[Box] = []
    empty: list[int] = []
    for image, values in enumerate(heat.detach().cpu().double().numpy()):
        boxes = _boxes(image, values, threshold, min_area)
        found += boxes[:1] if which == "largest" else boxes
        if not (values > 0).any():
            empty.append(image)
    if empty:
        warnings.warn(f"no value is positive, so there is no box, in map {', '.join(map(str, empty))}", stacklevel=2)
    return tuple(found)


def _boxes(
    image: int, values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", share: float, least: int
) -> list[Box]:
    """Of one map (H, W), of at least so many pixels, the part of most pixels first."""
    highest = values.max(initial=0)  # 0 where nothing is positive; nothing exceeds it then
    labels, _ = ndimage.label(values > share * highest, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    sums = np.bincount(labels.ravel(), weights=values.ravel())[1:]
    parts = ndimage.find_objects(labels)
    boxes: list[Box] = []
    for part in np.argsort(-areas, kind="stable"):
        if areas[part] >= least:
            rows, columns = parts[part]
            score = float(sums[part] / areas[part])
            boxes.append(Box(image, columns.start, rows.start, columns.stop, rows.stop, score))
    return boxes


def box_iou(boxes: Sequence[Box], others: Sequence[Box]) -> Tensor:
    """Intersection over union of each of some boxes with each of others.

    Returns:
        (B, O), float64, in [0, 1]; 0 for boxes of two images.
    """
    from torchvision import ops  # takes a second to import, which nobody else here needs

    if not boxes or not others:
        return torch.zeros(len(boxes), len(others), dtype=torch.float64)
    first, second = (
        torch.tensor([(box.image, box.x0, box.y0, box.x1, box.y1) for box in some], dtype=torch.float64)
        for some in (boxes, others)
    )
    is_same: Tensor = first[:, None, 0] == second[None, :, 0]
    found: Tensor = ops.box_iou(first[:, 1:], second[:, 1:])
    return torch.where(is_same, found.nan_to_num(), 0.0)  # of two empty boxes 0


def best_iou(boxes: Sequence[Box], given: Sequence[Box]) -> Tensor:
    """How well each given box is met: its largest intersection over union with a box found in its image.

    The share of these that reach 0.5 is the usual localisation accuracy.

    Returns:
        (G,), float64, in [0, 1]; 0 where nothing was found.
    """
    if not boxes:
        return torch.zeros(len(given), dtype=torch.float64)
    return box_iou(boxes, given).amax(dim=0)
