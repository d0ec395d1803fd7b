"""How one number is spread in several populations: outlines of their histograms on one axis."""

from collections.abc import Mapping
from zlib import crc32

from markupsafe import Markup
from torch import Tensor

from ._svg import INK, SOFT, TONES, axes_of, inline
from .plots import STROKES


def populations(
    shares: Mapping[str, Tensor],
    edges: Tensor,
    label: str,
    *,
    x: str,
    threshold: float | None = None,
    told: str = "threshold",
    width: float = 4.9,
    height: float = 2.9,
) -> Markup:
    """Named histograms over the same bins as inline SVG, drawn over each other as tinted outlines.

    Args:
        shares: name to shares of its population in each bin (B,), in [0, 1], at most six; named in the figure.
        edges: (B + 1,), rising, of the bins, such as `uncertainty.ood.spread` gives.
        label: what the figure shows, for those who do not see it.
        x: what runs to the right, with its unit.
        threshold: a place on the x axis that is marked by an upright line.
        told: what that line is, written beside it.
        width: of the figure, in inches.
        height: of the figure, in inches.

    Raises:
        ValueError: no population or more than six, or shares that are not one for each bin.
    """
    if not 1 <= len(shares) <= len(TONES):
        raise ValueError(f"shares must be of 1 to {len(TONES)} populations in one figure, got {len(shares)}")
    figure, (place,) = axes_of(width, height)
    places = edges.detach().cpu().double().numpy()
    for number, (name, column) in enumerate(shares.items()):
        if column.shape != (len(edges) - 1,):
            raise ValueError(f"{name}: shares must be one for each of {len(edges) - 1} bins, got {tuple(column.shape)}")
        values = 100 * column.detach().cpu().double().numpy()
        place.stairs(values, places, fill=True, color=TONES[number], alpha=0.22)
        place.stairs(
            values,
            places,
            color=TONES[number],
            linestyle=STROKES[number],
            linewidth=1.5,
            label=name.replace("$", r"\$").lstrip("_"),
            zorder=3,
        )
    place.set_ylim(0, 100 * 1.18 * max(float(column.max()) for column in shares.values()))
    place.set_xlim(places[0], places[-1])
    if threshold is not None:
        place.axvline(threshold, color=SOFT, linewidth=1.1, linestyle=(0, (4, 3)))
        side, shift = ("right", -4) if threshold > (places[0] + places[-1]) / 2 else ("left", 4)
        place.annotate(
            told.replace("$", r"\$"),
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=(shift, -2),
            textcoords="offset points",
            ha=side,
            va="top",
            color=INK,
            fontsize=8.5,
        )
    place.set(xlabel=x.replace("$", r"\$"), ylabel="share of its set (%)")
    figure.legend(frameon=False, labelcolor=INK, fontsize=8.5, loc="outside upper left", ncols=2, handlelength=2.2)
    return inline(figure, label, f"populations-{crc32(label.encode()):08x}")
