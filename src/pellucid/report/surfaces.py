"""Surfaces: a number at every place of a plane as shades with a scale beside them, and the points it comes from."""

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
from markupsafe import Markup
from torch import Tensor

from ._svg import INK, PAPER, SOFT, TONES, axes_of, inline
from .plots import MARKS, Field

SHADES, DARKEST, PARTED = 10, 0.85, 0.55
"""Steps from nothing to the darkest, how strongly that is tinted, and how strongly where two colours meet, over which
the points have the same."""


def surface(
    field: Field,
    label: str,
    *,
    unit: str,
    low: float = 0.0,
    high: float = 1.0,
    parting: float | None = None,
    points: Tensor | None = None,
    classes: Tensor | None = None,
    names: Sequence[str] = (),
    marked: tuple[float, float] | None = None,
    axes: tuple[str, str] = ("x1", "x2"),
    side: float = 3.5,
) -> Markup:
    """Shades of a plane, with a scale that is the same whatever is shown.

    Args:
        field: the numbers on a grid.
        label: what the figure shows, for those who do not see it.
        unit: what the numbers are, along the scale.
        low: where shading begins.
        high: where it is darkest, above low.
        parting: a number between them at which two colours meet and a line is drawn; none: one colour from low on.
        points: (N, 2), over the shades.
        classes: (N,), int64, of the points.
        names: of the classes, at most six.
        marked: a place to mark by a cross.
        axes: what runs to the right and upwards.
        side: of the figure, in inches.
    """
    if not high > low:
        raise ValueError(f"high must be above low {low}, got {high}")
    figure, (place,) = axes_of(side + 1.0, side + 0.1)
    scale = draw_surface(
        place,
        field,
        unit=unit,
        low=low,
        high=high,
        parting=parting,
        points=points,
        classes=classes,
        names=names,
        marked=marked,
        axes=axes,
        tones=TONES,
        ink=INK,
        paper=PAPER,
    )
    scale.tick_params(colors=SOFT, labelcolor=INK)
    return inline(figure, label, f"surface-{crc32(label.encode()):08x}")


def draw_surface(
    place: Any,
    field: Field,
    *,
    unit: str,
    low: float,
    high: float,
    parting: float | None,
    points: Tensor | None,
    classes: Tensor | None,
    names: Sequence[str],
    marked: tuple[float, float] | None,
    axes: tuple[str, str],
    tones: Sequence[str],
    ink: str,
    paper: str,
) -> Any:
    """The same into axes, as `surface` has it; gives the axes of the scale."""
    x, y, values = (part.detach().cpu().double().numpy() for part in (field.x, field.y, field.values))
    scale = place.inset_axes((1.04, 0, 0.05, 1))
    column = np.linspace(low, high, 2)
    for levels, tone, rising in _levels(low, high, parting, tones):
        strength = 1 - (1 - (DARKEST if parting is None else PARTED)) ** (1 / len(levels))
        for level in levels:
            bounds = [level, np.inf] if rising else [-np.inf, level]
            for where, across, up, numbers in (
                (place, x, y, values),
                (scale, np.array([0.0, 1.0]), column, np.stack([column, column], axis=1)),
            ):
                if numbers.min() < bounds[1] and numbers.max() > bounds[0]:
                    ends = [max(bounds[0], numbers.min() - 1), min(bounds[1], numbers.max() + 1)]
                    where.contourf(across, up, numbers, levels=ends, colors=[tone], alpha=strength)
    if parting is not None and values.min() < parting < values.max():
        place.contour(x, y, values, levels=[parting], colors=[ink], linewidths=1.2)
    scale.set(xticks=[], ylim=(low, high))
    scale.yaxis.tick_right()
    scale.yaxis.set_label_position("right")
    scale.set_ylabel(unit, color=ink, fontsize=9)
    scale.tick_params(labelsize=8.5)
    for edge in scale.spines.values():
        edge.set_visible(False)
    scale.patch.set_alpha(0)
    _draw_points(place, points, classes, names, tones=tones, paper=paper)
    if marked is not None:
        place.plot([marked[0]], [marked[1]], "+", color=ink, markersize=10, markeredgewidth=1.7)
    place.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel=axes[0], ylabel=axes[1])
    place.set_aspect("equal")
    if names:
        place.legend(
            frameon=False,
            labelcolor=ink,
            fontsize=8.5,
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=3,
            handletextpad=0.2,
            borderpad=0.1,
        )
    return scale


def _levels(
    low: float, high: float, parting: float | None, tones: Sequence[str]
) -> list[tuple["np.ndarray", str, bool]]:
    """Where each shade begins, its colour, and whether it lies above; shades lie on each other and so grow darker."""
    if parting is None:
        return [(np.linspace(low, high, SHADES + 1)[1:-1], tones[2], True)]
    half = SHADES // 2
    return [
        (np.linspace(parting, low, half + 1)[:-1] - (parting - low) / SHADES / 50, tones[0], False),
        (np.linspace(parting, high, half + 1)[:-1] + (high - parting) / SHADES / 50, tones[1], True),
    ]


def _draw_points(
    place: Any,
    points: Tensor | None,
    classes: Tensor | None,
    names: Sequence[str],
    *,
    tones: Sequence[str],
    paper: str,
) -> None:
    if points is None or classes is None:
        return
    spots, kinds = points.detach().cpu().double().numpy(), classes.cpu().numpy()
    for number, name in enumerate(names):
        own = spots[kinds == number]
        place.scatter(
            own[:, 0],
            own[:, 1],
            s=float(np.clip(2400 / max(1, len(spots)), 5, 30)),
            color=tones[number],
            marker=MARKS[number],
            label=name.replace("$", r"\$").lstrip("_"),
            edgecolors=paper,
            linewidths=0.35,
            zorder=3,
        )
