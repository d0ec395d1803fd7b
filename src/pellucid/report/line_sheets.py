"""Several figures of curves on one PNG, for those who put them into a document; `lines` draws them for a page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .plots import draw_lines

PAINTS = ("#0b6e8f", "#c2410c", "#6d3fc0", "#3f7d20", "#a8760a", "#b0257f")
"""The page's own colours of curves, in its light dress."""

DARK = "#1d1f24"


@dataclass(frozen=True)
class Curves:
    """One figure of curves."""

    title: str
    curves: Mapping[str, tuple[Tensor, Tensor]]  # name to (x (T,), y (T,)); at most twelve
    x: str  # what runs to the right, with its unit
    y: str  # what runs upwards, with its unit
    log: str = ""  # which axes are logarithmic
    is_from_zero: bool = False  # whether the upward axis starts at zero


def line_sheet(figures: Sequence[Curves], path: Path, title: str) -> None:
    """Figures of curves, two beside each other, as one PNG; what a colour and stroke mean is told once, below.

    Args:
        figures: at least one; a name means the same curve in each.
        path: the PNG to write.
        title: over the sheet.
    """
    from matplotlib.figure import Figure

    rows = math.ceil(len(figures) / 2)
    names = list(dict.fromkeys(name for one in figures for name in one.curves))
    sheet = Figure(figsize=(9.6, 3.1 * rows + 0.5 + 0.1 * len(names)), dpi=150, layout="constrained", facecolor="white")
    axes = sheet.subplots(rows, min(2, len(figures)), squeeze=False).flatten()
    for place, one in zip(axes, figures, strict=False):
        draw_lines(
            place, one.curves, x=one.x, y=one.y, tones=PAINTS, ink=DARK, log=one.log, is_from_zero=one.is_from_zero
        )
        place.set_title(one.title.replace("$", r"\$"), fontsize=10, loc="left")
        place.spines[["top", "right"]].set_visible(False)
    for place in axes[len(figures) :]:
        place.axis("off")
    told = {text: line for place in axes for line, text in zip(*place.get_legend_handles_labels(), strict=True)}
    sheet.legend(list(told.values()), list(told), loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    sheet.suptitle(title.replace("$", r"\$"), fontsize=11, x=0.01, ha="left")
    sheet.savefig(path, format="png")
