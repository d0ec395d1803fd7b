"""A sheet of images before and after a small change, with the change itself, magnified."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from .differences import magnified
from .figures import panel
from .pictures import fitted, pixels

LOW, HIGH = 160, 320
"""Sides of the pictures, in pixels: smaller ones are enlarged, larger ones reduced."""


def change_sheet(
    before: Sequence[Tensor], after: Sequence[Tensor], captions: Sequence[tuple[str, str]], path: Path, title: str
) -> None:
    """Before, after and magnified difference of each image side by side, as one PNG; two images a row where many.

    Args:
        before: N images (C, H, W), in [0, 1], N at least 1.
        after: N images (C, H, W), in [0, 1].
        captions: over the first two pictures of each; over the third stands its factor.
        path: the PNG to write.
        title: over the sheet.
    """
    counts = [len(before), len(after), len(captions)]
    if not counts[0] or len({*counts}) > 1:
        raise ValueError(f"before, after and captions must be as many, at least 1, got {counts}")
    pictures, names = [], []
    for one, other, told in zip(before, after, captions, strict=True):
        change, factor = magnified(one, other)
        pictures.append([pixels(fitted(image, LOW, HIGH)) for image in (one, other, change)])
        names.append([*told, f"difference × {factor}, grey is none"])
    beside = 1 if len(pictures) <= 3 else 2
    rows = [slice(first, first + beside) for first in range(0, len(pictures), beside)]
    panel(
        [[one for images in pictures[row] for one in images] for row in rows],
        [[one for told in names[row] for one in told] for row in rows],
        path,
        title,
    )
