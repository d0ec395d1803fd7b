"""Figures as inline SVG that takes its colours from the page, in its light and in its dark dress."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from markupsafe import Markup, escape

INK, SOFT, ACCENT, PAPER = "#010203", "#040506", "#070809", "#0a0b0c"
"""Colours that stand for the page's own; replaced in the finished SVG."""

TONES = ("#010101", "#020202", "#030303", "#040404", "#050505", "#060606")
"""Colours of the curves and classes of one figure, in order; they too stand for the page's own."""

_PAGE_COLOURS = {
    **{INK: "var(--ink)", SOFT: "var(--soft)", ACCENT: "var(--accent)", PAPER: "var(--paper)"},
    **{tone: f"var(--tone-{number})" for number, tone in enumerate(TONES, 1)},
}


def axes_of(width: float, height: float, *, rows: int = 1, heights: Sequence[float] = (1,)) -> tuple[Any, Any]:
    """A clear figure of so many inches and its axes, one under the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for place in axes:
        place.patch.set_alpha(0)
        place.tick_params(which="both", colors=SOFT, labelcolor=INK, labelsize=9)
        place.xaxis.label.set(color=INK, size=9.5)
        place.yaxis.label.set(color=INK, size=9.5)
        for edge, spine in place.spines.items():
            spine.set(color=SOFT, visible=edge in {"left", "bottom"})
    figure.patch.set_alpha(0)
    return figure, axes


def inline(figure: Any, label: str, salt: str) -> Markup:
    """The figure as inline SVG: text stays text, colours follow the page, the label is read aloud."""
    from matplotlib import rc_context

    file = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for tone, variable in _PAGE_COLOURS.items():
        text = text.replace(tone, variable)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", text)
    text = re.sub(r'id="([^"]+)"', rf'id="{salt}-\1"', text)
    text = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{salt}-", text)
    opening = re.sub(r' (width|height|version|xmlns(:xlink)?)="[^"]*"', "", text[: text.index(">")])
    wide = f"--wide: {6.3 * figure.get_size_inches()[0]:.1f}rem"
    head = (
        f'{opening} role="img" aria-label="{escape(label)}" style="{wide}" xmlns:xlink="http://www.w3.org/1999/xlink"'
    )
    return Markup(head + text[text.index(">") :])
