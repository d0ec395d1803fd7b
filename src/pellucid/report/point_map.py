"""Points of a plane by class, each of which shows its picture when it is pointed at, tapped, or reached by keys.

Needs no script: a point is one choice among several of a form, and the page's own style shows the picture beside the
one that is chosen. Colours and marks go on for as many classes as there are.
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from zlib import crc32

import numpy as np
import torch.nn.functional as F
from markupsafe import Markup, escape
from PIL import Image
from torch import Tensor

from ._marks import mark, tone
from .pictures import pixels

SIDE = 1000
"""Of the drawing, in units of its own."""

EDGE = 0.04
"""Room left at each side, as a share."""

LEAST = 0.5
"""Height of the drawing, as a share of its width, where the points lie nearly along a line."""

THUMBNAIL = 72
"""Side of a point's picture, in pixels."""

MOST_PICTURES = 2500
"""Points that have a picture at most: a page holds the pictures itself."""


@dataclass(frozen=True)
class PointPicture:
    """What comes up at a point."""

    row: int  # of the point
    image: Tensor  # (C, H, W), in [0, 1]
    caption: str


def point_map(
    points: Tensor, targets: Tensor, names: Sequence[str], label: str, *, pictures: Sequence[PointPicture] = ()
) -> Markup:
    """Points by class, as SVG in the colours of the page, with a legend, and pictures that come up.

    Args:
        points: (N, 2).
        targets: (N,), int64, 0 to len(names) - 1; -1 for points without a class.
        names: of the classes, any number.
        label: what the figure shows, for those who do not see it.
        pictures: of some points, at most MOST_PICTURES; none makes a figure without pictures.

    Raises:
        ValueError: numbers that do not fit each other, or points that are not finite.
    """
    _check(points, targets, names, pictures)
    spots = _placed(points.detach().cpu().double().numpy())
    height = max(LEAST * SIDE, float(np.ptp(spots[:, 1])) + 2 * EDGE * SIDE)
    spots[:, 1] -= (SIDE - height) / 2
    kinds = targets.cpu().numpy()
    said = f"{label}: {len(spots):,} points" + (f" of {len(names)} classes" if names else "")
    drawing = Markup('<svg viewBox="0 0 {} {:.1f}" role="img" aria-label="{}">{}</svg>').format(
        SIDE, height, said, Markup(_marks(spots, kinds))
    )
    told = [names[kind] if kind >= 0 else "no class" for kind in kinds.tolist()]
    order = sorted(pictures, key=lambda one: (kinds[one.row], spots[one.row, 0]))  # as keys go through them
    choices = _choices(order, spots / (SIDE, height), told, label) if order else Markup("")
    return Markup('<div class="map"><div class="plane">{}{}</div>{}</div>').format(
        drawing, choices, _legend(kinds, names)
    )


def point_picture(points: Tensor, targets: Tensor, names: Sequence[str], label: str) -> str:
    """The same as an SVG file of its own, light and dark, with the legend beside the points.

    Args:
        points: as of `point_map`.
        targets: as of `point_map`.
        names: as of `point_map`.
        label: as of `point_map`.
    """
    _check(points, targets, names, ())
    kinds = targets.cpu().numpy()
    inside = _marks(_placed(points.detach().cpu().double().numpy()), kinds)
    line, top = 30, 24
    rows = max(1, (SIDE - top) // line)
    entries = []
    for number, kind in enumerate(_present(kinds)):
        left, down = SIDE + 30 + 260 * (number // rows), top + line * (number % rows) + 8
        name = names[kind] if kind >= 0 else "no class"
        entries.append(
            f'<path {tone(kind)} d="M{left} {down}{mark(kind, 8)}"/>'
            f'<text x="{left + 18}" y="{down + 6}">{escape(name[:26])}</text>'
        )
    width = SIDE + 30 + 260 * math.ceil(max(1, len(entries)) / rows)
    style = (
        "svg{background:#fbfaf7}.k{fill:var(--day)}text{font:17px system-ui,sans-serif;fill:#1d1f24}"
        "@media(prefers-color-scheme:dark){svg{background:#14161a}.k{fill:var(--night)}text{fill:#eceae4}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {SIDE}" role="img" aria-label="{escape(label)}">'
        f"<style>{style}</style><title>{escape(label)}</title>{inside}{''.join(entries)}</svg>\n"
    )


def _marks(spots: np.ndarray, kinds: np.ndarray) -> str:
    """A path for each class: its mark at each of its points; those without a class below all."""
    size = float(np.clip(260 / math.sqrt(max(1, len(spots))), 3.2, 11))
    parts = []
    for kind in sorted(_present(kinds), key=lambda kind: kind >= 0):
        outline = mark(kind, size)
        drawn = "".join(f"M{x:.1f} {y:.1f}{outline}" for x, y in spots[kinds == kind])
        parts.append(f'<path {tone(kind)} fill-opacity=".78" d="{drawn}"/>')
    return "".join(parts)


def _choices(pictures: Sequence[PointPicture], shares: np.ndarray, names: Sequence[str], label: str) -> Markup:
    """The points, by shares (N, 2) of the drawing, as choices of a form, each with its part of a sheet of pictures."""
    group = f"map-{crc32(f'{label}{len(shares)}'.encode()):08x}"
    columns = math.ceil(math.sqrt(len(pictures)))
    share = 100 / max(1, columns - 1)
    point = Markup(
        '<input type="radio" name="{0}" aria-label="{1}: {2}" style="left:{3:.2f}%;top:{4:.2f}%"><figure class="{5}" '
        'style="left:{3:.2f}%;top:{4:.2f}%"><i style="background-position:{6:.3f}% {7:.3f}%"></i>'
        "<figcaption><b>{1}</b> {2}</figcaption></figure>"
    )
    parts = []
    for place, one in enumerate(pictures):
        x, y = (100 * shares[one.row]).tolist()
        down, across = divmod(place, columns)
        side = f"{'r' if x > 50 else 'l'}{'b' if y > 50 else 't'}"
        parts.append(point.format(group, names[one.row], one.caption, x, y, side, across * share, down * share))
    sheet = _sheet([one.image for one in pictures], columns)
    style = f"#{group} i{{background-image:url({sheet});background-size:{100 * columns}%}}"  # too long for a variable
    return Markup('<style>{}</style><div class="spots" id="{}" role="radiogroup" aria-label="{}">{}</div>').format(
        Markup(style), group, f"Pictures of the points: {label}", Markup("").join(parts)
    )


def _sheet(images: Sequence[Tensor], columns: int) -> str:
    """All pictures side by side in one, as a data URI; squares, the edges filled with gray."""
    sheet = np.full((columns * THUMBNAIL, columns * THUMBNAIL, 3), 128, dtype=np.uint8)
    for place, image in enumerate(images):
        height, width = image.shape[-2:]
        scale = THUMBNAIL / max(height, width)
        size = [max(1, round(side * scale)) for side in (height, width)]
        mode = "nearest-exact" if scale >= 2 else "bilinear"
        fitted = F.interpolate(image[None].float(), size, mode=mode, antialias=mode == "bilinear")[0]
        top, left = (
            cell * THUMBNAIL + (THUMBNAIL - side) // 2 for cell, side in zip(divmod(place, columns), size, strict=True)
        )
        sheet[top : top + size[0], left : left + size[1]] = pixels(fitted)
    file = BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _legend(kinds: np.ndarray, names: Sequence[str]) -> Markup:
    entry = Markup(
        '<li><svg viewBox="-1.6 -1.6 3.2 3.2" aria-hidden="true"><path {} d="M0 0{}"/></svg>{} <small>{:,}</small></li>'
    )
    entries = [
        entry.format(
            Markup(tone(kind)), mark(kind, 1), names[kind] if kind >= 0 else "no class", int((kinds == kind).sum())
        )
        for kind in _present(kinds)
    ]
    return Markup('<ul class="kinds">{}</ul>').format(Markup("").join(entries))


def _present(kinds: np.ndarray) -> list[int]:
    """The classes that have a point, in order; none (-1) last."""
    return sorted({int(kind) for kind in kinds}, key=lambda kind: (kind < 0, kind))


def _placed(points: np.ndarray) -> np.ndarray:
    """Points (N, 2) in the drawing, both axes to one scale, up being up."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    middle = (low + high) / 2
    placed = 0.5 + (points - middle) / span * (1 - 2 * EDGE) * np.array([1, -1])
    return np.asarray(SIDE * placed)


def _check(points: Tensor, targets: Tensor, names: Sequence[str], pictures: Sequence[PointPicture]) -> None:
    count = len(points)
    if points.shape != (count, 2) or not count or not bool(points.isfinite().all()):
        raise ValueError(f"points must be (N, 2), N at least 1, and finite, got {tuple(points.shape)}")
    if targets.shape != (count,) or not bool(((targets >= -1) & (targets < len(names))).all()):
        raise ValueError(f"targets must be ({count},) numbers of the {len(names)} classes, or -1")
    if len(pictures) > MOST_PICTURES or not all(0 <= one.row < count for one in pictures):
        raise ValueError(f"pictures must be at most {MOST_PICTURES:,}, each of one of the {count} points")
