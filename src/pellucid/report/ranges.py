"""Named numbers with their intervals, one under the other, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from markupsafe import Markup

from ._svg import ACCENT, INK, SOFT, axes_of, inline


@dataclass(frozen=True)
class Range:
    """A number and how far it can be trusted."""

    name: str
    value: float
    low: float | None = None  # None: nobody knows its interval
    high: float | None = None
    is_marked: bool = False  # whether it is the one to look at


def ranges(rows: Sequence[Range], label: str, *, x: str, zero: bool = False, width: float = 4.6) -> Markup:
    """A dot a row, with a line over its interval.

    Args:
        rows: at least one, the first at the top.
        label: what the figure shows, for those who do not see it.
        x: what runs to the right, with its unit.
        zero: draw a line at 0, where neither side is better.
        width: of the figure, in inches.
    """
    if not rows:
        raise ValueError("rows must be at least one, got none")
    figure, (place,) = axes_of(width, 0.9 + 0.28 * len(rows))
    for number, row in enumerate(rows):
        if row.low is not None and row.high is not None:
            place.plot([row.low, row.high], [number, number], color=SOFT, linewidth=1.6, solid_capstyle="butt")
        place.plot([row.value], [number], "o", color=ACCENT if row.is_marked else INK, markersize=5.5)
    if zero:
        place.axvline(0, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    place.set_yticks(range(len(rows)), [row.name.replace("$", r"\$") for row in rows])
    place.tick_params(axis="y", length=0)
    place.set(xlabel=x.replace("$", r"\$"), ylim=(len(rows) - 0.5, -0.5))
    place.margins(x=0.08)
    place.locator_params(axis="x", nbins=6)
    return inline(figure, label, f"ranges-{crc32(label.encode()):08x}")
