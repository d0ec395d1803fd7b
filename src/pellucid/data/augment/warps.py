"""Operations that look up pixels between pixels: shift, turn, lean, zoom, perspective and resized crops; black outside.

Resized crops: C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6. https://arxiv.org/abs/1409.4842
The square and the quadrilateral: P. Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3.
https://www2.eecs.berkeley.edu/Pubs/TechRpts/1989/5504.html
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ._hashing import one_by_one, uniform
from ._op import Drawn, Size, Warp, chance, within


@dataclass(frozen=True)
class Shift(Warp):
    """Moved by up to a fraction of the side, either way, down and right independently."""

    fraction: float = within(0.1, 0, 1)

    told: ClassVar[str] = "shift {down:+.1f} {right:+.1f} px"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """Pixels down and right."""
        return _shifts(key, size, self.fraction)

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        return about_centre(size, right=drawn["right"], down=drawn["down"])


@dataclass(frozen=True)
class Rotate(Warp):
    """Turned about the centre by up to so many degrees, either way."""

    degrees: float = within(15.0, 0, 180)

    told: ClassVar[str] = "rotate {degrees:+.1f}°"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002  any size turns alike
        """Degrees, positive against the clock."""
        return {"degrees": uniform(key, 0, -self.degrees, self.degrees)}

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        return about_centre(size, degrees=drawn["degrees"])


@dataclass(frozen=True)
class Shear(Warp):
    """Leant to a side by up to so many degrees, either way."""

    degrees: float = within(10.0, 0, 60)

    told: ClassVar[str] = "shear {lean:+.1f}°"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002  any size leans alike
        """Degrees between an upright line and what becomes of it."""
        return {"lean": uniform(key, 0, -self.degrees, self.degrees)}

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        return about_centre(size, lean=drawn["lean"])


@dataclass(frozen=True)
class Zoom(Warp):
    """Enlarged about the centre by a factor from 1 - fraction to 1 + fraction."""

    fraction: float = within(0.2, 0, 0.9)

    told: ClassVar[str] = "zoom x{factor:.2f}"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002  any size zooms alike
        """The factor; over 1 enlarges."""
        return {"factor": uniform(key, 0, 1 - self.fraction, 1 + self.fraction)}

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        return about_centre(size, factor=drawn["factor"])


@dataclass(frozen=True)
class Affine(Warp):
    """Leant, zoomed, turned and shifted at once: each part as the operation of its name draws it."""

    degrees: float = within(15.0, 0, 180)
    shift: float = within(0.1, 0, 1)
    zoom: float = within(0.1, 0, 0.9)
    shear: float = within(5.0, 0, 60)

    told: ClassVar[str] = "affine {degrees:+.0f}° {down:+.1f} {right:+.1f} px x{factor:.2f} {lean:+.0f}°"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """Degrees, factor and lean, pixels down and right."""
        return {
            **_shifts(key, size, self.shift),
            "degrees": uniform(key, 2, -self.degrees, self.degrees),
            "factor": uniform(key, 3, 1 - self.zoom, 1 + self.zoom),
            "lean": uniform(key, 4, -self.shear, self.shear),
        }

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        return about_centre(size, **drawn)


@dataclass(frozen=True)
class ResizedCrop(Warp):
    """A window of a random area and shape, brought to the size of the image.

    Where the image is too narrow for a drawn area in some of the shapes, only the others are drawn from; the usual
    way instead tries ten times and then takes the middle.

    Fields:
        least: smallest area of the window, as a fraction of the image's.
        most: largest area.
        ratio: the window's width over its height is between this and its inverse.
    """

    least: float = within(0.08, 0.0001, 1)
    most: float = within(1.0, 0.0001, 1)
    ratio: float = within(0.75, 0.01, 1)

    told: ClassVar[str] = "resized_crop {height:.1f} x {width:.1f} px at {down:.1f} {right:.1f}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least > self.most:
            raise ValueError(f"resized_crop.least must be at most most, got {self.least} and {self.most}")

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """Height and width of the window and its offsets, in pixels."""
        high, wide = size
        area = uniform(key, 0, self.least, self.most) * (high * wide)
        narrowest, widest = area / high**2, wide**2 / area  # the shapes that fit
        low, top = (
            one_by_one(math.log, torch.full_like(area, bound).clamp(narrowest, widest))
            for bound in (self.ratio, 1 / self.ratio)
        )
        shape = one_by_one(math.exp, low + (top - low) * uniform(key, 1))
        height, width = (area / shape).sqrt().clamp(max=high), (area * shape).sqrt().clamp(max=wide)
        down, right = (high - height) * uniform(key, 2), (wide - width) * uniform(key, 3)
        return {"height": height, "width": width, "down": down, "right": right}

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp."""
        zero, one = torch.zeros_like(drawn["down"]), torch.ones_like(drawn["down"])
        across, along = drawn["width"] / size[1], drawn["height"] / size[0]
        return _stacked([[across, zero, drawn["right"]], [zero, along, drawn["down"]], [zero, zero, one]])


@dataclass(frozen=True)
class Perspective(Warp):
    """Seen at an angle: each corner moves inwards by up to distortion times half the side.

    From a distortion of 2/3 on the corners may fold over each other, so 0.6 is the most.
    """

    distortion: float = within(0.5, 0, 0.6)
    probability: float = chance(0.5)

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """Where the corners come to lie, x0 y0 to x3 y3 in pixels, from the top left with the clock."""
        drawn = {}
        for corner, (far_right, far_down) in enumerate([(0, 0), (1, 0), (1, 1), (0, 1)]):
            for axis, (side, is_far) in enumerate([(size[1], far_right), (size[0], far_down)]):
                inwards = uniform(key, 2 * corner + axis, 0, self.distortion * side / 2)
                drawn[f"{'xy'[axis]}{corner}"] = side - inwards if is_far else inwards
        return drawn

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """See Warp; the inverse of the map from the image's corners to where they come to lie."""
        x, y = ([drawn[f"{axis}{corner}"] for corner in range(4)] for axis in "xy")
        ax, bx, sx = x[1] - x[2], x[3] - x[2], x[0] - x[1] + x[2] - x[3]
        ay, by, sy = y[1] - y[2], y[3] - y[2], y[0] - y[1] + y[2] - y[3]
        whole = ax * by - bx * ay
        g, h = (sx * by - bx * sy) / whole, (ax * sy - sx * ay) / whole
        forward = _stacked(
            [
                [x[1] - x[0] + g * x[1], x[3] - x[0] + h * x[3], x[0]],
                [y[1] - y[0] + g * y[1], y[3] - y[0] + h * y[3], y[0]],
                [g, h, torch.ones_like(g)],
            ]
        )  # from the unit square
        scale = torch.tensor([size[1], size[0], 1.0], dtype=torch.float64)
        return scale[:, None] * adjugate(forward)


def about_centre(
    size: Size,
    *,
    degrees: Tensor | None = None,
    factor: Tensor | None = None,
    lean: Tensor | None = None,
    right: Tensor | None = None,
    down: Tensor | None = None,
) -> Tensor:
    """The matrix (N, 3, 3) back from: lean, then zoom, turn (about the centre) and shift."""
    zero = torch.zeros_like(next(part for part in (degrees, factor, lean, right) if part is not None))
    turn = zero if degrees is None else degrees * (math.pi / 180)
    cosine, sine = one_by_one(math.cos, turn), one_by_one(math.sin, turn)
    slope = one_by_one(math.tan, zero if lean is None else lean * (math.pi / 180))
    shrink = 1 / (zero + 1 if factor is None else factor)
    # a point p goes to turn(zoom(p + slope * height above the centre)) + shift; y points down
    back = [
        [(cosine + slope * sine) * shrink, (slope * cosine - sine) * shrink],
        [sine * shrink, cosine * shrink],
    ]
    x, y = size[1] / 2 + (zero if right is None else right), size[0] / 2 + (zero if down is None else down)
    rows = [[a, b, centre - a * x - b * y] for (a, b), centre in zip(back, (size[1] / 2, size[0] / 2), strict=True)]
    return _stacked([*rows, [zero, zero, zero + 1]])


def adjugate(matrix: Tensor) -> Tensor:
    """(N, 3, 3): the inverse up to a factor, which homogeneous places do not see."""
    a, b, c = matrix.unbind(1)
    return torch.stack([b.cross(c, dim=1), c.cross(a, dim=1), a.cross(b, dim=1)], dim=2)


def _shifts(key: Tensor, size: Size, fraction: float) -> dict[str, Tensor]:
    """Pixels down and right, up to a fraction of the sides either way."""
    names = zip(("down", "right"), size, strict=True)
    return {name: uniform(key, n, -fraction * side, fraction * side) for n, (name, side) in enumerate(names)}


def _stacked(rows: list[list[Tensor]]) -> Tensor:
    """(N, 3, 3) from three rows of three (N,)."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)
