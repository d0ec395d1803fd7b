"""Predictions: a curve with the bands in which its values are to be expected, over the variance that makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from markupsafe import Markup
from torch import Tensor

from ._svg import INK, SOFT, TONES, axes_of, inline

CLEAR = (0.30, 0.17, 0.09)
"""How strongly the bands of 1, 2 and 3 standard deviations are tinted."""


@dataclass(frozen=True)
class Predicted:
    """A curve, what it was learned from, and how sure it is."""

    x: Tensor  # (T,), ascending
    mean: Tensor  # (T,)
    epistemic: Tensor  # (T,), variance of the curve
    aleatoric: Tensor  # (T,), variance of the noise
    points: Tensor  # (N, 2), what was learned from
    truth: Tensor | None = None  # (T,), where it is known


def predictions(shown: Predicted, label: str, *, log: bool = False, width: float = 4.9, height: float = 4.4) -> Markup:
    """The curve with bands of 1, 2 and 3 standard deviations, and under it both parts of the variance along x.

    The range of the points is shaded, their barycentre dashed.

    Args:
        shown: the curve.
        label: what the figure shows, for those who do not see it.
        log: whether the axis of the variance is logarithmic.
        width: of the figure, in inches.
        height: of the figure, in inches.
    """
    figure, places = axes_of(width, height, rows=2, heights=(3, 2))
    draw_predictions(places, shown, tones=TONES, ink=INK, soft=SOFT, log=log)
    return inline(figure, label, f"predictions-{crc32(label.encode()):08x}")


def draw_predictions(
    places: Sequence[Any], shown: Predicted, *, tones: Sequence[str], ink: str, soft: str, log: bool = False
) -> None:
    """The same into two axes, one under the other."""
    x, mean, epistemic, aleatoric, points = (
        part.detach().cpu().double().numpy()
        for part in (shown.x, shown.mean, shown.epistemic, shown.aleatoric, shown.points)
    )
    total = epistemic + aleatoric
    curve, variance = places
    for place in places:
        if len(points):
            place.axvspan(points[:, 0].min(), points[:, 0].max(), color=soft, alpha=0.1, linewidth=0)
            place.axvline(points[:, 0].mean(), color=soft, linewidth=0.9, linestyle=(0, (4, 3)))
        place.set_xlim(x[0], x[-1])
    low, high = _limits(shown)
    for sigmas, clear in zip((3, 2, 1), reversed(CLEAR), strict=True):
        reach = sigmas * total**0.5
        curve.fill_between(
            x,
            (mean - reach).clip(low - 1, high + 1),
            (mean + reach).clip(low - 1, high + 1),
            color=tones[0],
            alpha=clear,
            linewidth=0,
            label=f"±{sigmas} σ",
        )
    curve.plot(x, mean.clip(low - 1, high + 1), color=tones[0], linewidth=1.7, label="mean")
    if shown.truth is not None:
        truth = shown.truth.detach().cpu().double().numpy()
        curve.plot(x, truth, color=tones[1], linewidth=1.3, linestyle=(0, (5, 2)), label="truth")
    curve.plot(points[:, 0], points[:, 1], "o", color=ink, markersize=3, linestyle="", label="points")
    curve.set(ylim=(low, high), ylabel="y")
    curve.tick_params(labelbottom=False)
    curve.get_figure().legend(
        *curve.get_legend_handles_labels(),
        frameon=False,
        labelcolor=ink,
        fontsize=8.5,
        loc="outside upper left",
        ncols=6,
        handlelength=1.3,
        columnspacing=1.1,
    )
    variance.plot(x, total, color=tones[0], linewidth=1.6, label="total")
    variance.plot(x, epistemic, color=tones[2], linewidth=1.4, linestyle=(0, (5, 2)), label="epistemic")
    variance.plot(x, aleatoric, color=tones[3], linewidth=1.2, linestyle=(0, (1, 1.5)), label="aleatoric, 1/β")
    if log:
        variance.set_yscale("log")
        variance.set_ylim(bottom=float(aleatoric.min()) / 30)
    else:
        variance.set_ylim(0, 1.35 * float(total.max()))
    variance.set(xlabel="x", ylabel="variance")
    variance.legend(frameon=False, labelcolor=ink, fontsize=8.5, ncols=3, loc="upper center", handlelength=1.6)


def _limits(shown: Predicted) -> tuple[float, float]:
    """Of the upward axis: what is known and somewhat more; bands that explode are cut off."""
    known = [one for one in (shown.truth, shown.points[:, 1]) if one is not None and len(one)] or [shown.mean]
    low, high = min(float(one.min()) for one in known), max(float(one.max()) for one in known)
    room = 0.45 * max(high - low, 1e-9)
    return low - room, high + room
