"""Colours and marks that tell any number of classes apart, on a light page and on a dark one."""

import math

import numpy as np

HUES = (232.0, 45.0, 300.0, 140.0, 85.0, 345.0, 195.0, 20.0, 265.0, 112.0)
"""Of the first classes, in degrees around the circle of OKLCH; then others, by the golden angle."""

GOLDEN = 137.50776


def _regular(corners: int, turn: float, inner: float = 1.0) -> np.ndarray:
    """(P, 2): corners of a regular outline about 1 from its middle; of a star, every other one is nearer."""
    turns = 2 * np.pi * (np.arange(corners) / corners + turn)
    reach = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([np.cos(turns) * reach, np.sin(turns) * reach], axis=1)


MARKS = (
    _regular(12, 0.0),  # disc
    1.2 * _regular(4, 1 / 8),  # square
    1.25 * _regular(3, -1 / 4),  # triangle
    1.25 * _regular(4, 0.0),  # diamond
    1.25 * _regular(3, 1 / 4),  # triangle on its point
    1.45 * _regular(10, -1 / 4, 0.45),  # star of five points
    1.5 * _regular(8, 0.0, 0.4),  # star of four points
)
"""Corners (P, 2) of outlines around 0."""


def mark(kind: int, size: float) -> str:
    """The outline of a class as a path's steps from its middle, so that it may stand behind any move."""
    steps = np.diff(np.vstack([[0, 0], MARKS[kind % len(MARKS)]]), axis=0) * size
    return "m" + "l".join(f"{x:.2f} {y:.2f}" for x, y in steps) + "z"


def tones(kind: int) -> tuple[str, str]:
    """The colours of a class on a light and on a dark page, as #rrggbb; -1 is gray."""
    if kind < 0:
        return "#8a8d95", "#7d818a"
    around = kind - len(HUES)
    hue = HUES[kind] if around < 0 else (GOLDEN * around + 65) % 360
    shade = (0.0, 0.07, -0.05)[kind // len(HUES) % 3]  # those that come round again are darker, then lighter
    return _hex(0.53 - shade, 0.15, hue), _hex(0.76 - shade, 0.13, hue)


def tone(kind: int) -> str:
    """A class's colours as attributes of a drawn thing; the page's style takes one of the two."""
    day, night = tones(kind)
    return f'class="k" fill="{day}" style="--day:{day};--night:{night}"'


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """A colour of OKLCH as #rrggbb, with less chroma where the screen has no such colour.

    B. Ottosson, "A perceptual color space for image processing", 2020. https://bottosson.github.io/posts/oklab/
    """
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    if chroma > 0 and not all(-1e-4 <= part <= 1 + 1e-4 for part in linear):
        return _hex(lightness, max(0.0, chroma - 0.005), hue)
    parts = [min(1.0, max(0.0, part)) for part in linear]
    curved = [12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in parts]
    return "#" + "".join(f"{round(255 * part):02x}" for part in curved)
