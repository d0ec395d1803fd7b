"""A patch, and how it is laid on images: differentiable in its colours, nothing changed beside it."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_images

from ._places import Places, Spread

TOGETHER = 64
"""Images pasted on together: what bounds the memory."""


@dataclass(frozen=True)
class Patch:
    """One picture that is laid on any image, as `patch` trained it; `write_patch` writes it for printing."""

    colours: Tensor  # (C, S, S), in [0, 1]; of a disc the corners are never shown
    spread: Spread  # shape, area and what places are drawn from
    target: int | None = None  # the class it makes of every image; None: it makes them leave their own
    target_name: str = ""  # of that class, where the model names its classes
    epsilon: float | None = None  # None: it covers; else it changes what it lies on by at most this much

    @property
    def mask(self) -> Tensor:
        """(S, S), in [0, 1]: which of its values are shown."""
        return cover(self.spread.shape, self.colours.shape[-1]).to(self.colours)

    def save(self, path: Path) -> None:
        """Write it for printing, as a PNG beside what else is kept; the path has no suffix yet."""
        from ._printed import write_patch  # which reads patches too, and so imports this file

        write_patch(self, path.with_name(f"{path.name}.png"))

    def paste(
        self, images: Tensor, *, places: Places | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Lay the patch on images, of its own or any other size.

        Args:
            images: (N, C, H, W), float, in [0, 1].
            places: one for each image; None draws them.
            generator: of the places; None takes one of seed 0.

        Returns:
            (N, C, H, W), dtype and device of images, in [0, 1]; pixels beside the patch are left as they are.

        Raises:
            ValueError: images that are none, with other channels, or that the patch does not fit on.
        """
        check_images(images)
        if images.shape[1] != len(self.colours):
            raise ValueError(f"images must have the patch's {len(self.colours)} channels, got {images.shape[1]}")
        if places is None:
            self.spread.check_fits(images.shape[-2:])
            source = torch.Generator().manual_seed(0) if generator is None else generator
            places = self.spread.draw(len(images), images.shape[-2:], source)
        if len(places) != len(images):
            raise ValueError(f"places must be as many as images, {len(images)}, got {len(places)}")
        return laid(images, self.colours[None].to(images), places, self.spread, self.epsilon)


def laid(images: Tensor, colours: Tensor, places: Places, spread: Spread, epsilon: float | None) -> Tensor:
    """Colours (1, C, S, S), or (N, C, S, S), laid on images (N, C, H, W) at their places."""
    parts = [slice(first, first + TOGETHER) for first in range(0, len(images), TOGETHER)]
    every = colours.expand(len(images), -1, -1, -1)
    return torch.cat([_laid(images[part], every[part], places.some(part), spread, epsilon) for part in parts])


def _laid(images: Tensor, colours: Tensor, places: Places, spread: Spread, epsilon: float | None) -> Tensor:
    """x' = (1 - m) x + m T(P), m the mask and T(P) the patch turned, scaled and moved.

    With an epsilon x' = x + m epsilon (2 T(P) - 1): middle grey changes nothing, white and black the most.
    """
    where, covered = spread.seen(places, images.shape[-2:], like=images)
    moved = F.grid_sample(colours, where, mode="bilinear", padding_mode="border", align_corners=False)
    if epsilon is None:
        return ((1 - covered) * images + covered * moved).clamp(0, 1)
    return (images + covered * epsilon * (2 * moved - 1)).clamp(0, 1)


def cover(shape: str, side: int) -> Tensor:
    """(S, S), in [0, 1], float32: the shape as large as it gets in a square of S pixels."""
    centre = torch.full((1,), side / 2)
    whole = Spread(shape=shape, area=math.pi / 4 if shape == "disc" else 1.0)
    return whole.seen(Places(centre, centre, torch.zeros(1), torch.ones(1)), (side, side), like=centre)[1][0, 0]


def fitted(picture: Tensor, side: int, channels: int) -> Tensor:
    """The middle square of a picture (c, h, w), as colours (C, S, S) for a patch."""
    least = min(picture.shape[-2:])
    top, left = ((length - least) // 2 for length in picture.shape[-2:])
    square = picture[None, :, top : top + least, left : left + least]
    if len(picture) != channels:
        square = square.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    small: Tensor = F.interpolate(square, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return small[0].clamp(0, 1)
