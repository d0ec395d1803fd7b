"""Two pictures that differ a little: both, and the difference made large enough to be seen."""

import math

from torch import Tensor

from .pictures import data_uri, fitted, pixels

SIDE = 224
"""Longer side of a picture on the page, in pixels, at most; half of it at least."""

NICE = (1, 2, 5)
"""Factors are these times a power of ten, so that they can be read off at once."""


def magnified(image: Tensor, changed: Tensor) -> tuple[Tensor, int]:
    """The difference of two images as an image, and the factor it is enlarged by.

    Gray is no change, lighter is more, darker is less; the factor is the largest nice number (1, 2, 5, 10, ...) at
    which nothing is cut off, the same for every channel.

    Args:
        image: (C, H, W), in [0, 1].
        changed: (C, H, W), in [0, 1].

    Returns:
        (C, H, W), in [0, 1], and the factor, at least 1; 1 where nothing differs.
    """
    change = changed - image
    most = float(change.abs().max())
    if most == 0:
        return (change + 0.5), 1
    room = max(1.0, 0.50001 / most)  # float32 has a change of 0.1 a little larger
    power = 10 ** math.floor(math.log10(room))
    factor = max(n * power for n in NICE if n * power <= room)
    return (0.5 + factor * change).clamp(0, 1), factor


def before_after(
    image: Tensor, changed: Tensor, captions: tuple[str, str] = ("before", "after")
) -> list[tuple[str, str]]:
    """Pictures (data URI, caption) for `gallery`: the image, the changed one, and the difference magnified."""
    small = min(image.shape[-2:]) < SIDE // 2
    difference, factor = magnified(image, changed)
    shown = ((image, captions[0]), (changed, captions[1]), (difference, f"difference × {factor}, gray is none"))
    return [(data_uri(pixels(fitted(one, SIDE // 2, SIDE)), exact=small), caption) for one, caption in shown]
