"""Matrices as grids of numbers, drawn into the page: darker is larger, red is negative."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from torch import Tensor

CELL, GAP, HEAD, BROAD = 30, 44, 26, 390
"""Least side of a cell, room for the sign between two matrices, room for a name, width without numbers, in pixels."""


@dataclass(frozen=True)
class Matrix:
    """One matrix and what stands around it."""

    name: str
    values: Tensor  # (H, W)
    sign: str = ""  # what stands before it: "*", "=", "→"
    marked: Tensor | None = None  # (H, W), bool: cells with a frame


def matrices(shown: Sequence[Matrix], label: str, *, numbers: bool = True) -> Markup:
    """Matrices side by side, each with its name over it.

    Args:
        shown: at least one, from left to right.
        label: what the figure shows, for those who do not see it.
        numbers: whether the numbers are written; large matrices show colours only.
    """
    if not shown:
        raise ValueError("matrices must be at least one, got none")
    cell = _room(shown) if numbers else max(4, min(20, BROAD // max(1, *(one.values.shape[1] for one in shown))))
    tallest = max(one.values.shape[0] for one in shown) * cell
    most = max(1e-12, *(float(one.values.abs().max()) for one in shown if one.values.numel()))
    parts, left = [], 0.0
    for one in shown:
        if one.sign:
            parts.append(_text(left + GAP / 2, HEAD + tallest / 2, one.sign, size=20 if len(one.sign) == 1 else 13))
            left += GAP
        height, width = (side * cell for side in one.values.shape)
        wide = max(width, 7.5 * len(one.name))
        parts.append(_text(left + wide / 2, HEAD / 2, one.name, size=13))
        place = (left + (wide - width) / 2, HEAD + (tallest - height) / 2)
        parts.append(_grid(one, place, cell, most, numbers=numbers))
        left += wide + (0 if numbers else 4)
    return Markup('<svg viewBox="-2 0 {0} {1}" role="img" aria-label="{2}" style="--wide: {0}px">{3}</svg>').format(
        round(left + 4), HEAD + tallest + 3, label, Markup("").join(parts)
    )


def _room(shown: Sequence[Matrix]) -> int:
    """Side of a cell that holds the longest number."""
    longest = max((len(_number(value)) for one in shown for value in one.values.flatten().tolist()), default=1)
    return max(CELL, 8 * longest + 6)


def _grid(one: Matrix, place: tuple[float, float], cell: int, most: float, *, numbers: bool) -> Markup:
    """The cells of one matrix, at a place, tinted by their share of the largest magnitude in the figure."""
    parts = []
    for row, values in enumerate(one.values.tolist()):
        for column, value in enumerate(values):
            x, y = place[0] + column * cell, place[1] + row * cell
            tone = "var(--good)" if value >= 0 else "var(--bad)"
            parts.append(
                Markup(
                    '<rect x="{}" y="{}" width="{}" height="{}" fill="rgba({}, {:.3f})" stroke="var(--line)"/>'
                ).format(x, y, cell, cell, Markup(tone), 0.55 * abs(value) / most)
            )
            if numbers:
                parts.append(_text(x + cell / 2, y + cell / 2, _number(value), size=12.5))
    if one.marked is not None:
        for row, column in one.marked.nonzero().tolist():
            x, y = place[0] + column * cell, place[1] + row * cell
            framed = '<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="var(--ink)" stroke-width="2"/>'
            parts.append(Markup(framed).format(x, y, cell, cell))
    return Markup("").join(parts)


def _text(x: float, y: float, text: str, *, size: float) -> Markup:
    told = '<text x="{:g}" y="{:g}" text-anchor="middle" dominant-baseline="central" font-size="{}" fill="{}">{}</text>'
    return Markup(told).format(x, y, size, Markup("var(--ink)"), text)


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
