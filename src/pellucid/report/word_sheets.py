"""Visual words: what each looks like, and where those an image is made of lie in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_range

from .pictures import pixels

WORDS = ("#e8590c", "#1c7ed6", "#2f9e44", "#9c36b5", "#e0a800", "#0c8599")
"""Colours of the most frequent words, in order."""

REST = "#b8bec9"
"""Colour of all others."""


def word_sheet(
    patches: Tensor, names: Sequence[str], path: Path, *, title: str = "", distances: Tensor | None = None
) -> None:
    """Words below each other, of each its nearest patches in a row, as one PNG.

    Args:
        patches: (U, k, C, S, S), in [0, 1], the nearest first.
        names: U, written beside each row.
        path: the PNG to write.
        title: over the sheet.
        distances: (U, k), written below the patches; those that are infinite are left out.
    """
    from matplotlib.figure import Figure

    if patches.ndim != 5 or len(patches) != len(names) or not patches.numel():
        raise ValueError(f"patches must be (U, k, C, S, S), U of them named, got {tuple(patches.shape)}, {len(names)}")
    rows, columns = patches.shape[:2]
    tall = 0.78 if distances is None else 0.95
    figure = Figure(figsize=(1.9 + 0.78 * columns, 0.2 + tall * rows + 0.3 * bool(title)), dpi=150, facecolor="white")
    figure.set_layout_engine("constrained", h_pad=0.02, w_pad=0.02)
    axes = figure.subplots(rows, columns + 1, squeeze=False, width_ratios=[1.9, *[0.78] * columns])
    for row, name in enumerate(names):
        for place in axes[row]:
            place.axis("off")
        axes[row, 0].text(0, 0.5, _plain(name), va="center", fontsize=9, transform=axes[row, 0].transAxes)
        for column in range(columns):
            far = None if distances is None else float(distances[row, column])
            if far is None or far < float("inf"):
                axes[row, column + 1].imshow(pixels(patches[row, column]), interpolation="nearest", vmin=0, vmax=255)
                if far is not None:
                    axes[row, column + 1].set_title(f"{far:.2f}", fontsize=7, y=-0.27, color="#4a5060")
    if title:
        figure.suptitle(_plain(title), fontsize=11, x=0.01, ha="left")
    figure.savefig(path, format="png")


def word_map_sheet(
    image: Tensor,
    words: Tensor,
    path: Path,
    *,
    count: int,
    patch: int,
    stride: int,
    most: int = 6,
    examples: int = 5,
    title: str = "",
) -> None:
    """An image with its most frequent words outlined, how often each word comes up, and patches of those, as one PNG.

    Args:
        image: (C, H, W), in [0, 1].
        words: (rows, columns), int64, the word of each patch of the grid, in [0, count); the last is the null word.
        path: the PNG to write.
        count: words there are, with the null word.
        patch: side of a patch, in pixels.
        stride: step from patch to patch, in pixels; a word is outlined by so many pixels around its patches' middles.
        most: words outlined, 1 to 6.
        examples: patches shown of each, at least 1.
        title: over the sheet.
    """
    from matplotlib.figure import Figure

    check_range("most", most, 1, len(WORDS))
    check_range("examples", examples, 1)
    if words.ndim != 2 or int(words.min()) < 0 or int(words.max()) >= count:
        raise ValueError(f"words must be (rows, columns) in [0, {count}), got {tuple(words.shape)} up to {words.max()}")
    counts = torch.bincount(words.flatten().cpu(), minlength=count)
    top = [word for word in counts.argsort(descending=True, stable=True)[:most].tolist() if counts[word]]
    tall, wide = image.shape[-2:]
    high = 3.9 * max(0.7, tall / wide) + 2.0
    figure = Figure(figsize=(9.6, high), dpi=150, layout="constrained", facecolor="white")
    halves: Any = figure.subfigures(2, 1, height_ratios=[high - 2.0, 2.0])
    upper, lower = halves
    left, right = upper.subfigures(1, 2, width_ratios=[1.15, 1])
    place = left.subplots()
    place.imshow(pixels(image), interpolation="lanczos")
    for number, word in enumerate(top):
        _outline(place, words.cpu() == word, WORDS[number], patch, stride)
    place.set(xlim=(-0.5, wide - 0.5), ylim=(tall - 0.5, -0.5))
    place.axis("off")
    axes = right.subplots(len(top), examples, squeeze=False)
    for row, word in enumerate(top):
        _examples(axes[row], image, (words.cpu() == word).nonzero() * stride, patch=patch, tone=WORDS[row])
        axes[row, 0].set_title(" ", fontsize=8.5, pad=3)  # room for what is wider than its patch
        top_left = {"transform": axes[row, 0].transAxes, "va": "bottom"}
        name = axes[row, 0].text(0, 1.06, _named(word, counts), fontsize=8.5, color="#20242e", **top_left)
        name.set_in_layout(False)
    _histogram(lower.subplots(), counts, top)
    if title:
        figure.suptitle(_plain(title), fontsize=11, x=0.01, ha="left")
    figure.savefig(path, format="png")


def _named(word: int, counts: Tensor) -> str:
    name = "null word (flat)" if word == len(counts) - 1 else f"word {word}"
    return f"{name}: {int(counts[word])} patches, {100 * int(counts[word]) / int(counts.sum()):.0f} %"


def _outline(place: Any, mask: Tensor, tone: str, patch: int, stride: int) -> None:
    """Tint the cells (stride x stride) around the middles of a word's patches, and draw a line around them together."""
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.patches import Rectangle

    start = (patch - stride) / 2 - 0.5
    cells = mask.nonzero().tolist()
    corners = [(start + column * stride, start + row * stride) for row, column in cells]
    place.add_collection(
        PatchCollection(
            [Rectangle(corner, stride, stride) for corner in corners], facecolor=tone, alpha=0.28, linewidth=0
        )
    )
    inside = {(row, column) for row, column in cells}
    lines = []
    for (row, column), (x, y) in zip(cells, corners, strict=True):
        for step, line in (
            ((-1, 0), ((x, y), (x + stride, y))),
            ((1, 0), ((x, y + stride), (x + stride, y + stride))),
            ((0, -1), ((x, y), (x, y + stride))),
            ((0, 1), ((x + stride, y), (x + stride, y + stride))),
        ):
            if (row + step[0], column + step[1]) not in inside:
                lines.append(line)
    place.add_collection(LineCollection(lines, colors="white", linewidths=2.6, alpha=0.75))
    place.add_collection(LineCollection(lines, colors=tone, linewidths=1.5))


def _examples(axes: Sequence[Any], image: Tensor, corners: Tensor, *, patch: int, tone: str) -> None:
    """Patches of a word, spread over its places."""
    chosen = corners[torch.linspace(0, len(corners) - 1, min(len(axes), len(corners))).round().long()].tolist()
    for place in axes:
        place.set(xticks=[], yticks=[])
        place.spines[:].set_visible(False)
    for place, (down, across) in zip(axes, chosen, strict=False):
        place.imshow(pixels(image[:, down : down + patch, across : across + patch]), interpolation="nearest")
        place.spines[:].set(visible=True, color=tone, linewidth=2)


def _histogram(place: Any, counts: Tensor, top: Sequence[int]) -> None:
    """A bar a word in the order of their numbers; the most frequent in their colours, the others gray."""
    values = counts.numpy()
    width = max(0.9, len(values) / 350)
    place.bar(np.arange(len(values)), values, width=width, color=REST)
    for tone, word in zip(WORDS, top, strict=False):
        place.bar([word], [values[word]], width=max(width, len(values) / 180), color=tone)
        place.plot(
            [word], [-0.03], marker="^", color=tone, markersize=5, transform=place.get_xaxis_transform(), clip_on=False
        )
    place.set(xlim=(-1, len(values)), xlabel="word (the last is the null word)", ylabel="patches")
    place.spines[["top", "right"]].set_visible(False)
    place.yaxis.get_major_locator().set_params(integer=True)
    place.tick_params(axis="x", pad=7)


def _plain(text: str) -> str:
    return text.replace("$", r"\$")
