"""Risk over coverage: how often what is answered is wrong, by how much of all is answered, the surest first."""

from collections.abc import Mapping
from zlib import crc32

import torch
from markupsafe import Markup

from pellucid.metrics import Interval, proportion
from pellucid.metrics.ranking import RiskCoverage

from ._svg import INK, SOFT, TONES, axes_of, inline
from .plots import STROKES

MOST = 160
"""Points drawn of a curve, at most."""


def risk_curves(
    curves: Mapping[str, RiskCoverage],
    label: str,
    *,
    asked: float | None = None,
    chosen: tuple[float, float] | None = None,
    width: float = 4.9,
    height: float = 3.2,
) -> Markup:
    """Named curves as inline SVG, in percent; a single one within its 95 % band (Wilson, at each place by itself).

    Args:
        curves: name to `metrics.ranking.risk_coverage`, at most six; named in the figure where several.
        label: what the figure shows, for those who do not see it.
        asked: share of those answered that is asked to be right, in (0, 1): drawn as the risk it allows.
        chosen: (coverage, risk), both in [0, 1], of the threshold that was taken: marked by a dot.
        width: of the figure, in inches.
        height: of the figure, in inches.

    Raises:
        ValueError: no curve or more than six.
    """
    if not 1 <= len(curves) <= len(TONES):
        raise ValueError(f"curves must be 1 to {len(TONES)} in one figure, got {len(curves)}")
    figure, (place,) = axes_of(width, height)
    highest = 0.02
    for number, (name, curve) in enumerate(curves.items()):
        across, shares = _points(curve)
        drawn = [share.value for share in shares]
        if len(curves) == 1:
            low, high = ([100 * getattr(share, side) for share in shares] for side in ("low", "high"))
            place.fill_between(across, low, high, color=TONES[0], alpha=0.18, linewidth=0)
            drawn += [share.high for share, right in zip(shares, across, strict=True) if right >= 25]
        place.plot(
            across,
            [100 * share.value for share in shares],
            color=TONES[number],
            linestyle=STROKES[number],
            linewidth=1.6,
            label=name.replace("$", r"\$").lstrip("_"),
            zorder=3,
        )
        highest = max(highest, *drawn)
    if asked is not None:
        place.axhline(100 * (1 - asked), color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        highest = max(highest, 1.6 * (1 - asked))
        overall = [float(curve.risk[-1]) for curve in curves.values()]
        below = min(overall) > 1 - asked  # where the curves leave room at the right
        place.annotate(
            f"{100 * asked:g} % right",
            (100, 100 * (1 - asked)),
            (-3, -3 if below else 3),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            color=INK,
            fontsize=8.5,
        )
    if chosen is not None:
        place.plot([100 * chosen[0]], [100 * chosen[1]], "o", color=INK, markersize=6, clip_on=False, zorder=4)
    top = min(100, 108 * highest)
    place.set(xlim=(0, 100), ylim=(0, top), xlabel="answered, the surest first (%)", ylabel="wrong among those (%)")
    if len(curves) > 1:
        place.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    return inline(figure, label, f"risk-{crc32(label.encode()):08x}")


def _points(curve: RiskCoverage) -> tuple[list[float], list[Interval]]:
    """Places on the way to the right, in percent, and the share that is wrong up to each; few enough to be drawn."""
    count = len(curve.thresholds)
    taken = torch.linspace(0, count - 1, min(count, MOST)).round().long()
    answered, wrong = curve.answered[taken].tolist(), curve.wrong[taken].tolist()
    return (100 * curve.coverage[taken]).tolist(), [proportion(w, n) for w, n in zip(wrong, answered, strict=True)]
