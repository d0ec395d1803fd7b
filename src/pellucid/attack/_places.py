"""Where a patch lies on each image: drawn, and seen from each pixel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_range

SHAPES = ("disc", "square")

EDGE = 0.5
"""Pixels that a smooth edge reaches beyond the shape."""

LEAST = 2.0
"""Pixels across, below which a shape is no shape on the pixel grid."""


@dataclass(frozen=True)
class Places:
    """A place for each of N images."""

    rows: Tensor  # (N,), of the patch's centre, in pixels from the image's upper edge
    columns: Tensor  # (N,), in pixels from its left edge
    angles: Tensor  # (N,), in degrees, clockwise
    scales: Tensor  # (N,), 1 is the patch's own area

    def __len__(self) -> int:
        return len(self.rows)

    def some(self, part: slice) -> "Places":
        """The places of some of the images."""
        return Places(self.rows[part], self.columns[part], self.angles[part], self.scales[part])


@dataclass(frozen=True)
class Spread:
    """What places are drawn from; the docstring of `patch` tells each."""

    shape: str = "disc"
    area: float = 0.05
    rotation: float = 22.5
    scale_low: float = 0.7
    scale_high: float = 1.3

    def check(self) -> None:
        """Refuse what is out of range."""
        check_choice("shape", self.shape, SHAPES)
        if not 0 < self.area < 1:
            raise ValueError(f"area must be a share of the image, above 0 and below 1, got {self.area}")
        check_range("rotation", self.rotation, 0, 180)
        if not 0 < self.scale_low < math.inf:
            raise ValueError(f"scale_low must be above 0, got {self.scale_low}")
        check_range("scale_high", self.scale_high, self.scale_low)

    def width(self, size: Sequence[int]) -> float:
        """Diameter of the disc, or side of the square, in pixels of an image of this size (H, W), at scale 1."""
        covered = self.area * math.prod(size)
        return math.sqrt(4 * covered / math.pi) if self.shape == "disc" else math.sqrt(covered)

    def check_fits(self, size: Sequence[int]) -> None:
        """Refuse images on which the patch would be nothing, or would not lie inside at every scale and angle."""
        across, shown = self.width(size), " x ".join(map(str, size))
        largest = across * self.scale_high * float(self._reach(torch.tensor(min(self.rotation, 45.0)))) + 2 * EDGE
        if largest > min(size):
            raise ValueError(
                f"area {self.area:g} makes a {self.shape} of up to {largest:.0f} pixels, larger than the image of "
                f"{shown}: lower area or scale_high ({self.scale_high:g})"
            )
        if across * self.scale_low < LEAST:
            raise ValueError(
                f"area {self.area:g} of an image of {shown} makes a {self.shape} of "
                f"{across * self.scale_low:.2g} pixels across: raise area or scale_low ({self.scale_low:g})"
            )

    def draw(self, count: int, size: Sequence[int], generator: torch.Generator) -> Places:
        """Places drawn uniformly, each patch wholly inside its image, on the generator's device."""
        drawn = torch.rand(4, count, generator=generator, device=generator.device)
        angles = (2 * drawn[0] - 1) * self.rotation
        scales = self.scale_low + drawn[1] * (self.scale_high - self.scale_low)
        reach = scales * self.width(size) * self._reach(angles) / 2 + EDGE  # (N,)
        rows, columns = (reach + one * (side - 2 * reach) for one, side in zip(drawn[2:], size, strict=True))
        return Places(rows, columns, angles, scales)

    def seen(self, places: Places, size: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
        """What each pixel of an image of this size (H, W) sees of the patch, in the dtype and on the device of `like`.

        Returns:
            (N, H, W, 2), where it looks, in the patch's own frame: columns, then rows, from -1 to 1; and (N, 1, H, W),
            in [0, 1], how much of it is covered.
        """
        centre_y, centre_x, angles, scales = (
            one.to(like)[:, None, None] for one in (places.rows, places.columns, places.angles, places.scales)
        )
        y = torch.arange(size[0], device=like.device, dtype=like.dtype)[:, None] + 0.5 - centre_y  # (N, H, 1)
        x = torch.arange(size[1], device=like.device, dtype=like.dtype) + 0.5 - centre_x  # (N, 1, W)
        cosine, sine = angles.deg2rad().cos(), angles.deg2rad().sin()
        across, down = cosine * x + sine * y, cosine * y - sine * x  # (N, H, W), in pixels
        half = scales * self.width(size) / 2
        return torch.stack([across / half, down / half], dim=3), self._cover(across, down, half)[:, None]

    def _cover(self, across: Tensor, down: Tensor, half: Tensor) -> Tensor:
        """Share of each pixel inside the shape, its edge taken as straight: a ramp one pixel wide."""
        if self.shape == "square":
            return (EDGE + half - across.abs()).clamp(0, 1) * (EDGE + half - down.abs()).clamp(0, 1)
        radius = (half**2 - 1 / 12).sqrt()  # a ramp around r covers pi (r^2 + 1 / 12)
        return (EDGE + radius - torch.hypot(across, down)).clamp(0, 1)

    def _reach(self, angles: Tensor) -> Tensor:
        """Height (and width) of the shape turned by these degrees, in its own."""
        if self.shape == "disc":
            return torch.ones_like(angles)
        return angles.deg2rad().cos().abs() + angles.deg2rad().sin().abs()
