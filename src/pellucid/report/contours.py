"""Contours: a landscape seen from above, and the paths through it."""

from collections.abc import Mapping
from zlib import crc32

import numpy as np
from markupsafe import Markup
from torch import Tensor

from ._svg import INK, SOFT, TONES, axes_of, inline
from .plots import STROKES, Field

LEVELS = 14
"""Lines of equal height."""


def contours(
    field: Field,
    paths: Mapping[str, Tensor],
    label: str,
    *,
    axes: tuple[str, str] = ("w1", "w2"),
    lowest: Mapping[str, tuple[float, float]] | None = None,
    side: float = 3.6,
) -> Markup:
    """Lines of equal height, denser in the valley, with paths from a common start.

    Args:
        field: the landscape on a grid.
        paths: name to (T, 2), at most six; what leaves the field is cut off.
        label: what the figure shows, for those who do not see it.
        axes: what runs to the right and upwards.
        lowest: places to mark, each with its name beside it.
        side: of the figure, in inches.
    """
    if not 1 <= len(paths) <= len(TONES):
        raise ValueError(f"paths must be 1 to {len(TONES)} in one figure, got {len(paths)}")
    figure, (place,) = axes_of(side, side + 0.2)
    x, y, heights = (part.detach().cpu().double().numpy() for part in (field.x, field.y, field.values))
    low, high = float(heights.min()), float(heights.max())
    levels = low + (high - low) * np.geomspace(2e-4, 0.9, LEVELS)
    place.contour(x, y, heights, levels=np.unique(levels), colors=[SOFT], linewidths=0.6, alpha=0.55)
    for (name, path), tone, stroke in zip(paths.items(), TONES, STROKES, strict=False):
        steps = path.detach().cpu().double().numpy()
        place.plot(steps[:, 0], steps[:, 1], color=tone, linestyle=stroke, linewidth=1.6, label=name)
        place.plot(steps[-1:, 0], steps[-1:, 1], "o", color=tone, markersize=4.5)
    first = next(iter(paths.values()))[0]
    place.plot([float(first[0])], [float(first[1])], "s", color=INK, markersize=4.5)
    for name, (right, up) in (lowest or {}).items():
        place.plot([right], [up], "+", color=INK, markersize=9, markeredgewidth=1.6)
        place.annotate(name, (right, up), xytext=(6, 6), textcoords="offset points", color=INK, fontsize=8.5)
    place.set(xlim=(float(x[0]), float(x[-1])), ylim=(float(y[0]), float(y[-1])), xlabel=axes[0], ylabel=axes[1])
    figure.legend(frameon=False, labelcolor=INK, fontsize=8.5, loc="outside upper left", ncols=2)
    return inline(figure, label, f"contours-{crc32(label.encode()):08x}")
