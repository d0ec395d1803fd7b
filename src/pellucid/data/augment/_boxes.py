"""Boxes and keypoints that move with their images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ._draws import Draws, Stage
from ._sampling import moved_boxes, moved_points
from .moves import Hflip, Vflip

SMALLEST = 0.1
"""A box of which less than this share of the area is left in the image is dropped."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of a batch while they are moved."""

    boxes: tuple[Tensor, ...]  # (M, 4) of each image
    shares: tuple[Tensor, ...]  # (M,) of each image: how much of each is still in it

    @classmethod
    def of(cls, boxes: Sequence[Tensor]) -> "Boxes":
        """Boxes as given: all of each is there."""
        return cls(tuple(boxes), tuple(one.new_ones(len(one)) for one in boxes))

    def moved(self, stage: Stage) -> "Boxes":
        """After a stage."""
        if stage.matrix is None:
            return self
        boxes, shares = list(self.boxes), list(self.shares)
        for place in stage.chosen.nonzero()[:, 0].tolist():
            boxes[place], share = moved_boxes(boxes[place], stage.matrix[place], stage.size)
            shares[place] = shares[place] * share
        return Boxes(tuple(boxes), tuple(shares))

    def large(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The boxes of which enough is left, and (M,), bool: which of those given they are."""
        kept = tuple(share >= SMALLEST for share in self.shares)
        return tuple(one[keep] for one, keep in zip(self.boxes, kept, strict=True)), kept


def moved_keypoints(keypoints: Tensor, stage: Stage) -> Tensor:
    """Keypoints (N, P, 2) after a stage."""
    if stage.matrix is None:
        return keypoints
    moved = keypoints.clone()
    for place in stage.chosen.nonzero()[:, 0].tolist():
        moved[place] = moved_points(keypoints[place], stage.matrix[place])
    return moved


def renamed(keypoints: Tensor, drawn: Draws, flip_map: Sequence[int] | None) -> Tensor:
    """Keypoints (N, P, 2), in the order of their names: in a mirrored image a left eye is a right one."""
    if not any(isinstance(op, (Hflip, Vflip)) for op in drawn.ops):
        return keypoints
    points = keypoints.shape[1]
    if flip_map is None or sorted(flip_map) != list(range(points)):
        raise ValueError(
            f"flip_map must say for each of {points} keypoints which one takes its name in a mirror, got {flip_map}; "
            "or leave the flips out of the policy"
        )
    swapped = keypoints[:, torch.tensor(list(flip_map), device=keypoints.device)]
    return torch.where(drawn.mirrored(Hflip, Vflip)[:, None, None].to(keypoints.device), swapped, keypoints)
