"""Plots of small exact things: curves, points with the line between them, and what a function says of a plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from markupsafe import Markup
from torch import Tensor

from ._svg import INK, SOFT, TONES, axes_of, inline

STROKES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))
"""How the curves of a figure are stroked, so that they differ without colour too."""

MARKS = ("o", "s", "^", "D", "v", "P")
"""How the classes of a figure are marked."""

LONG, WIDE = 20, 27
"""Letters of a name beyond which the names of curves stand below the figure and not in it; and in one column there."""


@dataclass(frozen=True)
class Field:
    """A function of the plane on a grid; where it changes sign is the boundary."""

    x: Tensor  # (W,), ascending
    y: Tensor  # (H,), ascending
    values: Tensor  # (H, W); positive is the side of class 1


def lines(
    curves: Mapping[str, tuple[Tensor, Tensor]],
    label: str,
    *,
    x: str,
    y: str,
    dots: Mapping[str, tuple[float, float]] | None = None,
    upright: Mapping[str, float] | None = None,
    log: str = "",
    is_from_zero: bool = False,
    width: float = 4.6,
    height: float = 3.0,
) -> Markup:
    """Named curves in one figure.

    Args:
        curves: name to (x (T,), y (T,)); at most twelve, the names told in the figure when there are several.
        label: what the figure shows, for those who do not see it.
        x: what runs to the right, with its unit.
        y: what runs upwards, with its unit.
        dots: points to mark, each with its name beside it.
        upright: places on the x axis to mark by a line from bottom to top, each with its name over it.
        log: which axes are logarithmic: "", x, y or xy.
        is_from_zero: whether the upward axis starts at zero.
        width: of the figure, in inches.
        height: of the figure, in inches.
    """
    longest = max(map(len, curves), default=0)
    columns = 1 if longest > WIDE else 2
    is_below = len(curves) > 4 or (len(curves) > 1 and longest > LONG)
    figure, (place,) = axes_of(width, height + 0.17 * len(curves) * (is_below and columns == 1))
    draw_lines(place, curves, x=x, y=y, tones=TONES, ink=INK, log=log, is_from_zero=is_from_zero, upright=upright)
    for name, (right, high) in (dots or {}).items():
        place.plot([right], [high], "o", color=INK, markersize=4.5)
        place.annotate(_plain(name), (right, high), xytext=(5, 5), textcoords="offset points", color=INK, fontsize=8.5)
    if is_below:
        figure.legend(frameon=False, labelcolor=INK, fontsize=8.5, loc="outside lower left", ncols=columns)
    elif len(curves) > 1:
        place.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    return inline(figure, label, _salt("lines", label))


def draw_lines(
    place: Any,
    curves: Mapping[str, tuple[Tensor, Tensor]],
    *,
    x: str,
    y: str,
    tones: Sequence[str],
    ink: str,
    log: str = "",
    is_from_zero: bool = False,
    upright: Mapping[str, float] | None = None,
) -> None:
    """Named curves into axes, as `lines` has them: each differs from the others in its stroke and its colour together.

    Args:
        place: the axes.
        curves: name to (x (T,), y (T,)), at most twelve.
        x: what runs to the right.
        y: what runs upwards.
        tones: six colours.
        ink: colour of marks and their names.
        log: which axes are logarithmic: "", x, y or xy.
        is_from_zero: whether the upward axis starts at zero.
        upright: places on the x axis to mark, each with its name.
    """
    _check_many("curves", len(curves), 2 * len(TONES))
    for number, (name, (across, up)) in enumerate(curves.items()):
        place.plot(
            _numbers(across),
            _numbers(up),
            color=tones[number % len(tones)],
            linestyle=STROKES[(number + number // len(tones)) % len(STROKES)],
            linewidth=1.6,
            marker="o" if len(across) <= 12 else "",
            markersize=3.5,
            label=_plain(name),
        )
    if "x" in log:
        place.set_xscale("log")
    if "y" in log:
        place.set_yscale("log")
    if is_from_zero:
        place.set_ylim(bottom=0)
    place.set(xlabel=_plain(x), ylabel=_plain(y))
    _count_whole(place, list(curves.values()), log)
    for name, right in (upright or {}).items():
        place.axvline(right, color=ink, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        low, high = place.get_xlim()
        side, shift = ("right", 3) if right > (low + high) / 2 else ("left", -3)
        place.annotate(
            _plain(name),
            (right, 1),
            xycoords=("data", "axes fraction"),
            xytext=(shift, 3),
            textcoords="offset points",
            ha=side,
            color=ink,
            fontsize=8.5,
        )


def scatter(
    points: Tensor,
    classes: Tensor,
    label: str,
    *,
    names: Sequence[str],
    axes: tuple[str, str] = ("x1", "x2"),
    field: Field | None = None,
    boundaries: Sequence[Sequence[float]] = (),
    circled: Tensor | None = None,
    side: float = 3.6,
) -> Markup:
    """Points of several classes in the plane, and the line or the curve that parts them.

    Args:
        points: (N, 2).
        classes: (N,), int64, 0 to len(names) - 1.
        label: what the figure shows, for those who do not see it.
        names: of the classes, at most six.
        axes: what runs to the right and upwards.
        field: what a function says of the plane: the sides are tinted, the boundary is drawn where it is 0.
        boundaries: lines w0 + w1 x1 + w2 x2 = 0 as (w0, w1, w2), the earlier the fainter; the last has its normal.
        circled: (N,), bool, points to ring, such as mistakes or support vectors.
        side: of the figure, in inches.
    """
    _check_many("classes", len(names))
    figure, (place,) = axes_of(side, side + 0.1)
    spots, kinds = _numbers(points), classes.cpu().numpy()
    if field is not None:
        _tint(place, field)
    for number, name in enumerate(names):
        own = spots[kinds == number]
        place.scatter(
            own[:, 0],
            own[:, 1],
            s=float(np.clip(1400 / max(1, len(spots)), 7, 44)),
            color=TONES[number],
            marker=MARKS[number],
            label=_plain(name),
            linewidths=0,
            zorder=3,
        )
    if circled is not None and bool(circled.any()):
        ringed = spots[circled.cpu().numpy()]
        place.scatter(ringed[:, 0], ringed[:, 1], s=90, facecolors="none", edgecolors=INK, linewidths=0.9, zorder=4)
    _limit(place, spots, field)
    for number, line in enumerate(boundaries):
        _draw_line(place, line, strength=(number + 1) / len(boundaries), is_last=number == len(boundaries) - 1)
    place.set(xlabel=_plain(axes[0]), ylabel=_plain(axes[1]))
    place.set_aspect("equal")
    figure.legend(frameon=False, labelcolor=INK, fontsize=8.5, loc="outside upper left", ncols=3, handletextpad=0.2)
    return inline(figure, label, _salt("scatter", label))


def _check_many(name: str, count: int, most: int = len(TONES)) -> None:
    if not 1 <= count <= most:
        raise ValueError(f"{name} must be 1 to {most} in one figure, got {count}")


def _count_whole(place: Any, curves: Sequence[tuple[Tensor, Tensor]], log: str) -> None:
    """Whole numbers at an axis where everything is counted in them."""
    from matplotlib.ticker import MaxNLocator

    for number, axis in enumerate((place.xaxis, place.yaxis)):
        is_whole = all(bool((one[number] == one[number].round()).all()) for one in curves)
        if is_whole and "xy"[number] not in log:
            axis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))


def _tint(place: Any, field: Field) -> None:
    """Both sides of a function in the colours of their classes, and the line between them."""
    x, y, values = (_numbers(part) for part in (field.x, field.y, field.values))
    high = max(1.0, float(np.abs(values).max()) + 1)
    place.contourf(x, y, values, levels=[-high, 0, high], colors=TONES[:2], alpha=0.14)
    if float(values.min()) < 0 < float(values.max()):
        place.contour(x, y, values, levels=[0], colors=[INK], linewidths=1.2)


def _limit(place: Any, spots: "np.ndarray", field: Field | None) -> None:
    """Axes as wide as the field, or as the points and a little more."""
    if field is not None:
        place.set(xlim=(float(field.x[0]), float(field.x[-1])), ylim=(float(field.y[0]), float(field.y[-1])))
        return
    low, high = spots.min(axis=0), spots.max(axis=0)
    room = 0.35 * np.maximum(high - low, 1e-9)
    place.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))


def _draw_line(place: Any, line: Sequence[float], *, strength: float, is_last: bool) -> None:
    """The line w0 + w1 x1 + w2 x2 = 0 across the axes; the last with the unit normal, which points to class 1."""
    offset, first, second = (float(part) for part in line)
    squared = first**2 + second**2
    if squared == 0:
        return
    foot = np.array([-offset * first / squared, -offset * second / squared])
    along = np.array([-second, first]) / squared**0.5
    ends = np.stack([foot - 1e3 * along, foot + 1e3 * along])
    tone, width = (INK, 1.6) if is_last else (SOFT, 1.0)
    place.plot(
        ends[:, 0], ends[:, 1], color=tone, linewidth=width, alpha=0.25 + 0.75 * strength, scalex=False, scaley=False
    )
    if is_last:
        normal = np.array([first, second]) / squared**0.5
        span = place.get_xlim()[1] - place.get_xlim()[0]
        tip = foot + 0.18 * span * normal
        place.annotate("", tip, foot, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2})


def _numbers(values: Tensor) -> "np.ndarray":
    found: np.ndarray = values.detach().cpu().double().numpy()
    return found


def _plain(text: str) -> str:
    """Text that no markup of the drawing library changes."""
    return text.replace("$", r"\$").lstrip("_")


def _salt(kind: str, label: str) -> str:
    """What makes the ids of one figure differ from another's on the same page."""
    return f"{kind}-{crc32(label.encode()):08x}"
