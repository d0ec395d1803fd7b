"""Shares that fall or rise, each with the band in which it can be trusted."""

from collections.abc import Mapping, Sequence
from zlib import crc32

from markupsafe import Markup

from pellucid.metrics import Interval

from ._svg import INK, TONES, axes_of, inline
from .plots import MARKS, STROKES


def bands(
    curves: Mapping[str, tuple[Sequence[float], Sequence[Interval]]],
    label: str,
    *,
    x: str,
    y: str,
    width: float = 5.4,
    height: float = 3.2,
) -> Markup:
    """Named curves of shares in [0, 1] as inline SVG, each within its 95 % band; the upward axis is in percent.

    Args:
        curves: name to (places on the x axis (T,), shares (T,)), at most six; named in the figure where several.
        label: what the figure shows, for those who do not see it.
        x: what runs to the right, with its unit.
        y: what runs upwards; "%" is added.
        width: of the figure, in inches.
        height: of the figure, in inches.

    Raises:
        ValueError: no curve or more than six, or places and shares differ in number.
    """
    if not 1 <= len(curves) <= len(TONES):
        raise ValueError(f"curves must be 1 to {len(TONES)} in one figure, got {len(curves)}")
    figure, (place,) = axes_of(width, height)
    for number, (name, (across, shares)) in enumerate(curves.items()):
        if len(across) != len(shares) or not shares:
            raise ValueError(f"{name}: places and shares must be as many, at least 1: {len(across)} and {len(shares)}")
        tone = TONES[number]
        low, high = ([100 * getattr(share, side) for share in shares] for side in ("low", "high"))
        place.fill_between(list(across), low, high, color=tone, alpha=0.18, linewidth=0)
        place.plot(
            list(across),
            [100 * share.value for share in shares],
            color=tone,
            linestyle=STROKES[number],
            marker=MARKS[number],
            markersize=4,
            linewidth=1.6,
            label=name.replace("$", r"\$").lstrip("_"),
            clip_on=False,
            zorder=3,
        )
    place.set(xlabel=x.replace("$", r"\$"), ylabel=f"{y.replace('$', chr(92) + '$')} (%)", ylim=(0, 100))
    place.set_xlim(left=min(min(across) for across, _ in curves.values()))
    if len(curves) > 1:
        place.legend(frameon=False, labelcolor=INK, fontsize=8.5)
    return inline(figure, label, f"bands-{crc32(label.encode()):08x}")
