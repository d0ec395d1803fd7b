"""A policy of augmentation: what is done to images, in order and each with its probability, on whole batches.

The parameters of an image are looked up by (seed, epoch, index), so a result does not depend on the batch an image
is in, on the order of the images or on how many processes share them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_images

from ._boxes import Boxes, moved_keypoints, renamed
from ._draws import Draws, stages
from ._hashing import keys, uniform
from ._op import Move, Op, Paint
from ._text import parsed, written
from .moves import Hflip


@dataclass(frozen=True)
class Augmented:
    """Images, and whatever was to move with them."""

    images: Tensor  # (N, C, H, W), float in [0, 1]; or uint8 when bytes were given and every operation keeps them
    masks: Tensor | None = None  # (N, H, W), as given
    boxes: tuple[Tensor, ...] | None = None  # (M, 4) of each image, x0 y0 x1 y1 half open in pixels
    kept: tuple[Tensor, ...] | None = None  # (M,), bool, of each image: which of the boxes given are among them
    keypoints: Tensor | None = None  # (N, P, 2), x and y in pixels


@dataclass(frozen=True)
class Policy:
    """Operations in order; `str` writes what `policy` reads."""

    ops: tuple[Op, ...] = ()

    def __str__(self) -> str:
        return written(self.ops)

    @property
    def keeps_bytes(self) -> bool:
        """Whether uint8 images come out as uint8."""
        return all(isinstance(op, Move) or (isinstance(op, Paint) and op.keeps_bytes) for op in self.ops)

    def __call__(self, images: Tensor, indices: Tensor, seed: int = 0, epoch: int = 0) -> Tensor:
        """Images (N, C, H, W), float in [0, 1] or uint8, augmented; indices (N,) are their places in the set."""
        return self.apply(images, self.draw(indices, images.shape, seed=seed, epoch=epoch)).images

    def draw(self, indices: Tensor, shape: Sequence[int], *, seed: int = 0, epoch: int = 0) -> Draws:
        """Decide what is done to each image.

        Args:
            indices: (N,), int64: the images' places in their set.
            shape: of the images; it ends in H, W.
            seed: of everything random.
            epoch: from 0; every epoch has its own draws.

        Returns:
            Draws, on the CPU.

        Raises:
            ValueError: an operation does not go with the size.
        """
        if indices.dtype != torch.int64 or indices.ndim != 1:
            raise ValueError(f"indices must be int64 (N,), got {indices.dtype} {tuple(indices.shape)}")
        sizes, chosen, values = [(int(shape[-2]), int(shape[-1]))], [], []
        for place, op in enumerate(self.ops):
            key = keys(seed, epoch, place, indices.cpu())
            chosen.append(uniform(key, -1) < op.probability)
            values.append(op.draw(key, sizes[-1]))
            sizes.append(op.size(sizes[-1]))
        return Draws(len(indices), self.ops, tuple(sizes), tuple(chosen), tuple(values))

    @torch.no_grad()
    def apply(
        self,
        images: Tensor,
        drawn: Draws,
        masks: Tensor | None = None,
        boxes: Sequence[Tensor] | None = None,
        *,
        keypoints: Tensor | None = None,
        flip_map: Sequence[int] | None = None,
    ) -> Augmented:
        """Do what was drawn; nothing given is changed.

        Args:
            images: (N, C, H, W), float in [0, 1], or uint8.
            drawn: from `draw`, for these images.
            masks: (N, H, W), any dtype: moved with the images, no value mixed with another, 0 where nothing was.
            boxes: (M, 4) of each image, x0 y0 x1 y1 half open in pixels; cut at the edge, dropped under a tenth.
            keypoints: (N, P, 2), x and y in pixels; they may leave the image.
            flip_map: (P,): which keypoint takes each one's name in a mirror; needed by flips.

        Raises:
            ValueError: images outside [0, 1], or of another size or number than drawn for, or flips without flip_map.
        """
        _check(images, drawn)
        for name, beside in (("masks", masks), ("boxes", boxes), ("keypoints", keypoints)):
            if beside is not None and len(beside) != len(images):
                raise ValueError(f"{name} must be one for each of {len(images)} images, got {len(beside)}")
        if not self.keeps_bytes and images.dtype == torch.uint8:
            images = images.float().div_(255)
        moving_masks = None if masks is None else masks[:, None]
        moving_boxes = None if boxes is None else Boxes.of(boxes)
        for stage in stages(drawn):
            images = stage.images(images)
            moving_masks = None if moving_masks is None else stage.masks(moving_masks)
            moving_boxes = None if moving_boxes is None else moving_boxes.moved(stage)
            keypoints = None if keypoints is None else moved_keypoints(keypoints, stage)
        left, kept = (None, None) if moving_boxes is None else moving_boxes.large()
        return Augmented(
            images=images,
            masks=None if moving_masks is None else moving_masks[:, 0],
            boxes=left,
            kept=kept,
            keypoints=None if keypoints is None else renamed(keypoints, drawn, flip_map),
        )


def policy(text: str = "none") -> Policy:
    """Read a policy, such as "cifar" or "hflip=0.5,crop=4,rotate=15:probability=0.5".

    Args:
        text: operations with commas: a name, its main number after "=", any other after ":"; or presets by name.

    Raises:
        ValueError: an unknown name, or a number outside its range; the nearest name is told.
    """
    return Policy(parsed(text))


def flip_classes(targets: Tensor, drawn: Draws, mapping: Sequence[int]) -> Tensor:
    """The targets of augmented images, where a mirror makes one class another: a left hand becomes a right one.

    Args:
        targets: (N,), int64.
        drawn: what was drawn for the images.
        mapping: (K,): the class that each class becomes; its own number where a mirror changes nothing.

    Returns:
        (N,): mapping[target] for the images hflip mirrored.
    """
    classes = list(range(len(mapping)))
    if sorted(mapping) != classes or [mapping[mapping[one]] for one in classes] != classes:
        raise ValueError(f"mapping must pair classes 0 to {len(mapping) - 1} both ways, got {list(mapping)}")
    table = torch.tensor(list(mapping), dtype=torch.int64, device=targets.device)
    return torch.where(drawn.mirrored(Hflip).to(targets.device), table[targets], targets)


def _check(images: Tensor, drawn: Draws) -> None:
    """Refuse images that are none, or for which nothing was drawn."""
    if images.dtype != torch.uint8:
        check_images(images)
    elif images.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W), got {tuple(images.shape)}")
    given = (len(images), *images.shape[-2:])
    if given != (drawn.count, *drawn.sizes[0]):
        raise ValueError(
            f"images must be those drawn for, {drawn.count} of {drawn.sizes[0]}, got {tuple(images.shape)}"
        )
