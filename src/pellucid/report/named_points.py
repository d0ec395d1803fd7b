"""Points with their names beside them: what each costs against what it brings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeAlias

from markupsafe import Markup

from ._svg import ACCENT, INK, SOFT, axes_of, inline

PRINTED = {INK: "#1d1f24", SOFT: "#62656e", ACCENT: "#0b6e8f"}
"""The page's colours on white."""

REACHES = (5, 10, 17, 26, 36)
"""How far from its point a name may stand, in printer's points; the nearest free place is taken."""

SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""On which side of its point a name may stand (right, up), the best first."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, low, right and high edge, in the figure's pixels."""


@dataclass(frozen=True)
class NamedPoint:
    """One thing among others."""

    name: str
    group: str  # points of one group are joined by a line
    x: float
    y: float


def named_points(points: Sequence[NamedPoint], label: str, *, x: str, y: str, log: str = "") -> Markup:
    """Named points as SVG in the colours of the page.

    Args:
        points: at least one.
        label: what the figure shows, for those who do not see it.
        x: what runs to the right, with its unit.
        y: what runs upwards, with its unit.
        log: which axes are logarithmic: "", x, y or xy.
    """
    return inline(_drawn(points, x, y, log), label, "named-points")


def save_named_points(points: Sequence[NamedPoint], path: Path, title: str, *, x: str, y: str, log: str = "") -> None:
    """The same as one PNG on white, with a title.

    Args:
        points: at least one.
        path: the PNG to write.
        title: over the figure.
        x: what runs to the right, with its unit.
        y: what runs upwards, with its unit.
        log: which axes are logarithmic: "", x, y or xy.
    """
    figure = _drawn(points, x, y, log, title=title)
    for artist in figure.findobj(lambda one: hasattr(one, "get_color")):
        artist.set_color(PRINTED.get(artist.get_color(), artist.get_color()))
    for place in figure.axes:
        place.tick_params(which="both", colors=PRINTED[SOFT], labelcolor=PRINTED[INK])
        for spine in place.spines.values():
            spine.set_edgecolor(PRINTED[SOFT])
    figure.patch.set(facecolor="white", alpha=1)
    figure.savefig(path, format="png", dpi=160)


def _drawn(points: Sequence[NamedPoint], x: str, y: str, log: str, *, title: str = "") -> Any:
    from matplotlib.ticker import EngFormatter

    if not points:
        raise ValueError("points must be at least one, got none")
    figure, (place,) = axes_of(9.6, 6.4)
    if title:
        place.set_title(title.replace("$", r"\$"), fontsize=11, color=INK, loc="left")
    for name, axis in (("x", place.xaxis), ("y", place.yaxis)):
        if name in log:
            getattr(place, f"set_{name}scale")("log")
            axis.set_major_formatter(EngFormatter())
    groups: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        groups.setdefault(point.group, []).append((point.x, point.y))
    for own in groups.values():
        place.plot(*zip(*sorted(own), strict=True), color=SOFT, linewidth=0.8, alpha=0.6, zorder=1)
        place.plot(*zip(*sorted(own), strict=True), "o", color=ACCENT, markersize=5, zorder=3)
    place.margins(0.09, 0.07)
    place.set(xlabel=x, ylabel=y)
    place.grid(visible=True, color=SOFT, alpha=0.18, linewidth=0.6)
    place.tick_params(which="minor", colors=SOFT)
    _write_names(figure, place, points, list(groups.values()))
    return figure


def _write_names(
    figure: Any, place: Any, points: Sequence[NamedPoint], joined: Sequence[Sequence[tuple[float, float]]]
) -> None:
    """Each name at the nearest place beside its point that is free; a thin line leads to those further off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # so that what is measured stays where it is
    dot = figure.dpi / 72
    spots = _merged({one.name: tuple(place.transData.transform((one.x, one.y))) for one in points}, 3 * dot)
    taken = [_around(spot, 4 * dot) for spot in spots.values()]
    lines = [_around(spot, dot) for own in joined for spot in _along(place.transData.transform(sorted(own)), 5 * dot)]
    frame = tuple(place.get_window_extent(renderer).extents)
    for name, (across, up) in sorted(spots.items(), key=lambda item: -item[1][0]):
        spot = place.transData.inverted().transform((across, up))
        text = place.annotate(name.replace("$", r"\$"), spot, fontsize=8, color=INK, zorder=4)
        size = text.get_window_extent(renderer)
        box = _free((across, up), (size.width + 2 * dot, size.height), dot, frame, taken=taken, lines=lines)
        if box is None:
            text.remove()  # no room; whoever draws this tells the names in a table too
            continue
        taken.append(box)
        text.anncoords = "offset points"
        text.set(position=((box[0] - across) / dot, (box[1] - up) / dot), ha="left", va="bottom")
        edge = (min(max(across, box[0]), box[2]), min(max(up, box[1]), box[3]))  # of the name, nearest to the point
        if math.dist(edge, (across, up)) > 11 * dot:
            ends = place.transData.inverted().transform([(across, up), edge])
            place.plot(*ends.T, color=SOFT, linewidth=0.5, zorder=2, scalex=False, scaley=False)


def _merged(spots: Mapping[str, tuple[float, float]], reach: float) -> dict[str, tuple[float, float]]:
    """Spots by name; names of spots that lie on each other share one line of text."""
    found: dict[tuple[float, float], list[str]] = {}
    for name, spot in spots.items():
        near = next((other for other in found if math.dist(spot, other) < reach), spot)
        found.setdefault(near, []).append(name)
    return {", ".join(names): spot for spot, names in found.items()}


def _free(
    spot: tuple[float, float], size: tuple[float, float], dot: float, frame: Box, *, taken: list[Box], lines: list[Box]
) -> Box | None:
    """The nearest free box beside a spot; off the lines too where that is near."""
    (across, up), (width, height) = spot, size
    for reaches, filled in ((REACHES[:2], [*taken, *lines]), (REACHES, taken)):
        for reach, (right, high) in product(reaches, SIDES):
            left = across + right * reach * dot - (1 - right) / 2 * width
            low = up + high * (reach * dot + height / 2) - height / 2
            box = (left, low, left + width, low + height)
            is_inside = box[0] > frame[0] and box[1] > frame[1] and box[2] < frame[2] and box[3] < frame[3]
            if is_inside and not any(_overlap(box, other) for other in filled):
                return box
    return None


def _around(spot: Sequence[float], reach: float) -> Box:
    return spot[0] - reach, spot[1] - reach, spot[0] + reach, spot[1] + reach


def _along(spots: Sequence[Sequence[float]], step: float) -> list[tuple[float, float]]:
    """Spots on the lines between spots, so far from each other."""
    found = []
    for start, end in pairwise(spots):
        count = max(1, int(math.dist(start, end) / step))
        found += [tuple(a + (b - a) * n / count for a, b in zip(start, end, strict=True)) for n in range(count)]
    return found  # type: ignore[return-value]


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
