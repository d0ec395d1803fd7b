"""Translucent shapes painted over one another: what they cover, the image they change, the drawing they make."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ._balls import within

KINDS = ("circle", "triangle", "rectangle", "stroke")
MODES = ("noise", "overlay")
FORM = 6
"""Most numbers that tell where a shape is."""


@dataclass(frozen=True)
class Shape:
    """One shape: x and y are shares of the image's width and height, lengths of its shorter side, angles in radians.

    The form of a circle: x, y, radius. Of a triangle: x, y of each corner. Of a rectangle: x, y of its centre, width,
    height, angle. Of a stroke, which has round ends: x, y of each end, width.
    """

    kind: str
    form: tuple[float, ...]
    colour: tuple[float, ...]  # (C,), in [0, 1]
    opacity: float  # in [0, 1]


@dataclass(frozen=True)
class Painting:
    """Shapes in the order in which they are painted; without any, the image stays as it is."""

    shapes: tuple[Shape, ...]
    mode: str  # noise: on gray, and added to the image; overlay: on the image itself
    epsilon: float | None  # largest change of a value; None sets no bound

    def over(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), in [0, 1], changed by this painting; of any size."""
        if not self.shapes:
            return images.clone()
        canvas = begun(images, self.mode)
        for shape in self.shapes:
            kind = torch.tensor([KINDS.index(shape.kind)])
            form = torch.zeros(1, FORM, dtype=torch.float64)
            form[0, : len(shape.form)] = torch.tensor(shape.form, dtype=torch.float64)
            covered = coverage(kind.to(images.device), form.to(images), *images.shape[2:])  # (1, H, W)
            canvas = blended(canvas, shape.opacity * covered, canvas.new_tensor([shape.colour]))
        return finished(images, canvas, self.mode, self.epsilon)

    def svg(self, height: int, width: int) -> str:
        """The drawing as an SVG text of this size in pixels; on gray where it is noise, else on nothing."""
        side = min(height, width)
        lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">']
        if self.mode == "noise":
            lines.append('<rect width="100%" height="100%" fill="rgb(50%,50%,50%)"/>')
        lines += [_element(shape, height, width, side) for shape in self.shapes]
        return "\n".join([*lines, "</svg>", ""])


def begun(images: Tensor, mode: str) -> Tensor:
    """What is painted on."""
    return torch.full_like(images, 0.5) if mode == "noise" else images


def blended(canvas: Tensor, alpha: Tensor, colour: Tensor) -> Tensor:
    """The canvas (N, C, H, W) under one more shape: alpha (N, H, W), colour (N, C)."""
    return torch.lerp(canvas, colour[:, :, None, None], alpha[:, None])


def finished(images: Tensor, canvas: Tensor, mode: str, epsilon: float | None) -> Tensor:
    """The images (N, C, H, W), changed by what was painted."""
    if mode == "noise":
        canvas = images + (epsilon or 0.0) * (2 * canvas - 1)
    return canvas.clamp(0, 1) if epsilon is None else within(images, canvas, epsilon, "linf")


def coverage(kinds: Tensor, forms: Tensor, height: int, width: int) -> Tensor:
    """Share of each pixel that each shape covers, (R, H, W): 1 inside, falling to 0 over the one pixel of its edge.

    Args:
        kinds: (R,), places in KINDS.
        forms: (R, 6), as a Shape tells them, zeros behind.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    across = torch.arange(width, device=forms.device, dtype=forms.dtype) + 0.5
    down = (torch.arange(height, device=forms.device, dtype=forms.dtype) + 0.5)[:, None]
    side = min(height, width)
    units = forms.new_tensor(
        [
            [width, height, side, 1, 1, 1],
            [width, height, width, height, width, height],
            [width, height, side, side, 1, 1],
            [width, height, width, height, side, 1],
        ]
    )
    found = forms.new_empty(len(forms), height, width)
    for number, away in enumerate((_from_circle, _from_triangle, _from_rectangle, _from_stroke)):
        rows = (kinds == number).nonzero()[:, 0]
        if len(rows):
            form = (forms[rows] * units[number]).T[:, :, None, None]  # (6, r, 1, 1), in pixels
            found[rows] = (0.5 - away(form, across, down)).clamp(0, 1)
    return found


def _from_circle(form: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Pixels from the edge, (r, H, W), negative inside; of every kind."""
    return torch.hypot(across - form[0], down - form[1]) - form[2]


def _from_triangle(form: Tensor, across: Tensor, down: Tensor) -> Tensor:
    corners = [(form[2 * i], form[2 * i + 1]) for i in range(3)]
    edges = [(corners[i], corners[(i + 1) % 3]) for i in range(3)]
    nearest = torch.stack([_from_segment(a, b, across, down) for a, b in edges]).amin(dim=0)
    sides = torch.stack([(b[0] - a[0]) * (down - a[1]) - (b[1] - a[1]) * (across - a[0]) for a, b in edges])
    inside = (sides >= 0).all(dim=0) | (sides <= 0).all(dim=0)
    return torch.where(inside, -nearest, nearest)


def _from_rectangle(form: Tensor, across: Tensor, down: Tensor) -> Tensor:
    x, y = across - form[0], down - form[1]
    cosine, sine = form[4].cos(), form[4].sin()
    along = (cosine * x + sine * y).abs() - form[2] / 2
    beside = (cosine * y - sine * x).abs() - form[3] / 2
    return torch.hypot(along.clamp(min=0), beside.clamp(min=0)) + along.maximum(beside).clamp(max=0)


def _from_stroke(form: Tensor, across: Tensor, down: Tensor) -> Tensor:
    return _from_segment((form[0], form[1]), (form[2], form[3]), across, down) - form[4] / 2


def _from_segment(start: tuple[Tensor, Tensor], end: tuple[Tensor, Tensor], across: Tensor, down: Tensor) -> Tensor:
    """Pixels from a line between two points, (r, H, W)."""
    (x, y), (long, high) = start, (end[0] - start[0], end[1] - start[1])
    share = ((across - x) * long + (down - y) * high) / (long.square() + high.square()).clamp(min=1e-12)
    share = share.clamp(0, 1)
    return torch.hypot(across - x - share * long, down - y - share * high)


def _element(shape: Shape, height: int, width: int, side: int) -> str:
    """A shape's line of an SVG."""
    form = shape.form
    if len(shape.colour) not in {1, 3}:
        raise ValueError(f"an SVG has gray or RGB colours, this painting has {len(shape.colour)} channels")
    red, green, blue = (
        f"{100 * value:.2f}%" for value in (shape.colour * 3 if len(shape.colour) == 1 else shape.colour)
    )
    paint = f'"rgb({red},{green},{blue})"'
    filled = f'fill={paint} fill-opacity="{shape.opacity:.4f}"'
    if shape.kind == "circle":
        return f'<circle cx="{form[0] * width:.3f}" cy="{form[1] * height:.3f}" r="{form[2] * side:.3f}" {filled}/>'
    if shape.kind == "triangle":
        corners = " ".join(f"{form[i] * width:.3f},{form[i + 1] * height:.3f}" for i in (0, 2, 4))
        return f'<polygon points="{corners}" {filled}/>'
    if shape.kind == "rectangle":
        wide, high = form[2] * side, form[3] * side
        moved = f"translate({form[0] * width:.3f} {form[1] * height:.3f}) rotate({form[4] * 180 / torch.pi:.3f})"
        place = f'x="{-wide / 2:.3f}" y="{-high / 2:.3f}" width="{wide:.3f}" height="{high:.3f}"'
        return f'<rect {place} transform="{moved}" {filled}/>'
    ends = (
        f'x1="{form[0] * width:.3f}" y1="{form[1] * height:.3f}" x2="{form[2] * width:.3f}" y2="{form[3] * height:.3f}"'
    )
    line = f'stroke={paint} stroke-opacity="{shape.opacity:.4f}" stroke-width="{form[4] * side:.3f}"'
    return f'<line {ends} {line} stroke-linecap="round"/>'
