"""Figures: SVG that takes its colours from the page, and PNG panels that stand alone."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from zlib import crc32

import numpy as np
from markupsafe import Markup

from pellucid.metrics import Reliability

from ._svg import ACCENT, INK, SOFT, axes_of, inline

SIDE = 2.5
"""Width of a picture in a panel, in inches."""


def reliability_diagram(bins: Reliability, label: str) -> Markup:
    """Accuracy against confidence in bins, the diagonal being perfect calibration, and how many images lie in each.

    Args:
        bins: from `metrics.reliability`.
        label: what the figure shows, for those who do not see it.
    """
    figure, (main, counts) = axes_of(4.6, 4.6, rows=2, heights=(4, 1))
    edges, count = bins.edges.numpy(), bins.count.numpy()
    width = edges[1:] - edges[:-1]
    main.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
    main.bar(edges[:-1], np.nan_to_num(bins.accuracy.numpy()), width, align="edge", color=ACCENT, alpha=0.75)
    filled = count > 0
    main.plot(bins.confidence.numpy()[filled], bins.accuracy.numpy()[filled], "o", color=INK, markersize=3.5)
    main.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    main.tick_params(labelbottom=False)
    counts.bar(edges[:-1], count, width, align="edge", color=SOFT, alpha=0.6)
    counts.set(xlim=(0, 1), xlabel="probability of the predicted class", ylabel="images")
    counts.locator_params(axis="y", nbins=2)
    return inline(figure, label, f"reliability-{crc32(label.encode()):08x}")


def histogram(groups: dict[str, Sequence[float]], label: str, axis: str, *, bins: int = 20) -> Markup:
    """Shares of each group over [0, 1], side by side."""
    figure, (main,) = axes_of(4.6, 2.6)
    edges = np.linspace(0, 1, bins + 1)
    for (name, values), tone in zip(groups.items(), (ACCENT, INK), strict=False):
        weights = np.full(len(values), 1 / max(1, len(values)))
        main.hist(values, edges, weights=weights, color=tone, alpha=0.55, label=f"{name} ({len(values)})")
    main.set(xlim=(0, 1), xlabel=axis, ylabel="share of the group")
    figure.legend(loc="outside upper left", frameon=False, labelcolor=INK, ncols=2)  # bars may stand anywhere inside
    return inline(figure, label, f"histogram-{crc32(label.encode()):08x}")


def panel(
    pictures: Sequence[Sequence["np.ndarray"]], titles: Sequence[Sequence[str]], path: Path, title: str = ""
) -> None:
    """Pictures (H, W, 3), uint8, in rows and columns with a title each, as one PNG; long titles are broken."""
    from matplotlib.figure import Figure

    rows, columns = len(pictures), max(len(row) for row in pictures)
    height, width = pictures[0][0].shape[:2]
    over = _broken(title, SIDE * columns * 11)
    broken = [[_broken(name, SIDE * 14) for name in names] for names in titles]
    lines = sum(max(name.count("\n") + 1 for name in names) for names in broken)
    tall = rows * (SIDE * height / width + 0.25) + 0.14 * lines + 0.18 * (over.count("\n") + 1)
    figure = Figure(figsize=(SIDE * columns, tall), dpi=150, layout="compressed")
    figure.patch.set_facecolor("white")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (shown, names) in enumerate(zip(pictures, broken, strict=True)):
        for column in range(columns):
            place = axes[row][column]
            place.axis("off")
            if column < len(shown):
                place.imshow(shown[column], interpolation="nearest")
                place.set_title(_plain(names[column]), fontsize=8)
    if title:
        figure.suptitle(_plain(over), fontsize=10)
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.08)


def _broken(text: str, letters: float) -> str:
    """Text in lines of so many letters at most."""
    return "\n".join(wrap(text, int(letters)))


def _plain(text: str) -> str:
    """Text that no markup of the drawing library changes."""
    return text.replace("$", r"\$")
