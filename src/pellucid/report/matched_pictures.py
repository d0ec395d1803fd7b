"""Two pictures side by side, and lines between the places that are the same in both."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_range

from .pictures import pixels

AGREED, ALONE = "#50ffa0", "#9aa3b5"
"""Colour of a match that agrees with the others, and of one that does not."""

OUTLINE = "#101218"
"""Under every line, so that it is seen on bright and on dark."""

GAP = 0.03
"""White between the pictures, as a share of their width."""


def matched_pictures(
    first: Tensor,
    second: Tensor,
    starts: Tensor,
    ends: Tensor,
    path: Path,
    *,
    agreed: Tensor | None = None,
    title: str = "",
    most: int = 80,
) -> None:
    """Two pictures side by side with a line for each match, as one PNG.

    Args:
        first: (C, H, W), in [0, 1].
        second: (C, h, w), in [0, 1].
        starts: (M, 2), places in the first, row and column, in pixels; the surest first.
        ends: (M, 2), the matching places in the second.
        path: the PNG to write.
        agreed: (M,), bool: the matches that agree with each other, drawn bright; None: all do.
        title: over the pictures.
        most: lines drawn, at least 1: every so many-th match; how many is told below.
    """
    from matplotlib.figure import Figure

    check_range("most", most, 1)
    if starts.shape != ends.shape or starts.shape[1:] != (2,):
        raise ValueError(f"starts and ends must both be (M, 2), got {tuple(starts.shape)} and {tuple(ends.shape)}")
    agreed = torch.ones(len(starts), dtype=torch.bool) if agreed is None else agreed.cpu()
    if agreed.shape != starts.shape[:1]:
        raise ValueError(f"agreed must be ({len(starts)},), one for each match, got {tuple(agreed.shape)}")
    left, right = pixels(first), pixels(second)
    gap = max(2, round(GAP * (left.shape[1] + right.shape[1])))
    tall, wide = max(left.shape[0], right.shape[0]), left.shape[1] + gap + right.shape[1]
    canvas = np.full((tall, wide, 3), 255, np.uint8)
    canvas[: left.shape[0], : left.shape[1]] = left
    canvas[: right.shape[0], left.shape[1] + gap :] = right
    figure = Figure(
        figsize=(9.6, 9.6 * tall / wide + (0.7 if title else 0.4)), dpi=150, layout="constrained", facecolor="white"
    )
    place = figure.subplots()
    place.imshow(canvas, interpolation="lanczos")
    place.axis("off")
    if title:
        place.set_title(title.replace("$", r"\$"), fontsize=11, loc="left")
    shown = torch.linspace(0, len(starts) - 1, min(most, len(starts))).round().long()
    shift = torch.tensor([0, left.shape[1] + gap])
    _lines(place, starts[shown].cpu(), ends[shown].cpu() + shift, agreed[shown])
    _legend(figure, agreed, shown)
    place.set(xlim=(-0.5, wide - 0.5), ylim=(tall - 0.5, -0.5))
    figure.savefig(path, format="png")


def _lines(place: Any, starts: Tensor, ends: Tensor, agreed: Tensor) -> None:
    """Those that agree lie on top."""
    for wanted, tone, width in ((False, ALONE, 0.7), (True, AGREED, 1.0)):
        which = agreed == wanted
        rows, columns = (torch.stack([starts[which, axis], ends[which, axis]]).numpy() for axis in (0, 1))  # (2, m)
        place.plot(columns, rows, color=OUTLINE, linewidth=width + 1.0, alpha=0.45)
        place.plot(columns, rows, color=tone, linewidth=width, alpha=0.95)
        place.scatter(columns, rows, s=11, color=tone, edgecolors=OUTLINE, linewidths=0.5, zorder=3)


def _legend(figure: Any, agreed: Tensor, shown: Tensor) -> None:
    """What the colours mean, and how many of how many are drawn."""
    from matplotlib.lines import Line2D

    drawn, count = agreed[shown], len(agreed)
    told = [(AGREED, "agree with each other", agreed, drawn)]
    if not bool(agreed.all()):
        told.append((ALONE, "do not", ~agreed, ~drawn))
    lines = [Line2D([], [], color=tone, linewidth=2.2, marker="o", markeredgecolor=OUTLINE) for tone, *_ in told]
    names = [f"{int(which.sum())} of {count} matches {text}" for _, text, which, _ in told]
    if len(shown) < count:
        names = [f"{name} ({int(seen.sum())} drawn)" for name, (*_, seen) in zip(names, told, strict=True)]
    figure.legend(lines, names, loc="outside lower left", ncols=2, frameon=False, fontsize=9)
