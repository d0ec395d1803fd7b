"""What a descriptor of edges says of a patch: the patch, its gradients, and the histogram of each of its cells."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .pictures import pixels

WHEEL = ("#c2410c", "#a8760a", "#3f7d20", "#0b8f6e", "#0b6e8f", "#3b4fc4", "#6d3fc0", "#b0257f")
"""Colours of directions: to the right first, the next ones turn downwards."""

ARROWS = ("→", "↘", "↓", "↙", "←", "↖", "↑", "↗")

GRID = "#7d8594"


def descriptor_sheet(
    patch: Tensor, gradients: Tensor, descriptor: Tensor, path: Path, *, title: str = "", sigma: float | None = None
) -> None:
    """A patch, its gradients, its cells' histograms as stars and as bars, as one PNG; a colour is a direction.

    Args:
        patch: (C, S, S), in [0, 1].
        gradients: (2, S, S), to the right and down, as from `classic.gradients`.
        descriptor: (cells * cells * bins,), order cell row, cell column, direction, with 4 x 4 cells.
        path: the PNG to write.
        title: over the sheet.
        sigma: standard deviation of the weight around the patch's middle, in pixels, drawn as a circle.
    """
    from matplotlib.figure import Figure

    side, bins = patch.shape[-1], descriptor.numel() // 16
    if gradients.shape != (2, side, side) or patch.shape[-2] != side:
        given = f"{tuple(patch.shape)} and {tuple(gradients.shape)}"
        raise ValueError(f"patch and gradients must be (C, S, S) and (2, S, S), got {given}")
    if descriptor.ndim != 1 or not bins or descriptor.numel() % 16:
        raise ValueError(f"descriptor must be (16 * bins,), got {tuple(descriptor.shape)}")
    cells = descriptor.detach().cpu().double().view(4, 4, bins)
    figure = Figure(figsize=(9.6, 6.0), dpi=150, layout="constrained", facecolor="white")
    axes: dict[str, Any] = figure.subplot_mosaic([["patch", "arrows", "stars"], ["bars"] * 3], height_ratios=[1.5, 1])
    axes["patch"].imshow(pixels(patch), interpolation="nearest")
    axes["patch"].set_title(f"patch, {side} x {side} pixels", fontsize=10, loc="left")
    _draw_arrows(axes["arrows"], gradients.detach().cpu().double(), bins, sigma)
    _draw_stars(axes["stars"], cells)
    _draw_bars(axes["bars"], cells)
    for name in ("patch", "arrows"):
        axes[name].set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
        for line in np.arange(1, 4) * side / 4 - 0.5:
            axes[name].axhline(line, color=GRID, linewidth=0.8)
            axes[name].axvline(line, color=GRID, linewidth=0.8)
    for name in ("patch", "arrows", "stars"):
        axes[name].set(aspect="equal", xticks=[], yticks=[])
        axes[name].spines[:].set_color(GRID)
    if title:
        figure.suptitle(title.replace("$", r"\$"), fontsize=11, x=0.01, ha="left")
    figure.savefig(path, format="png")


def _tones(bins: int) -> "np.ndarray":
    """One colour a direction, (bins, 3): the wheel's own, or between them."""
    from matplotlib.colors import to_rgb

    wheel = np.array([to_rgb(tone) for tone in (*WHEEL, WHEEL[0])])
    at = np.arange(bins) * len(WHEEL) / bins
    return np.stack([np.interp(at, np.arange(len(wheel)), channel) for channel in wheel.T], axis=1)


def _draw_arrows(place: Any, gradients: Tensor, bins: int, sigma: float | None) -> None:
    """An arrow a pixel, from dark to bright, in the colour of its nearest direction; the longest is a pixel long."""
    right, down = gradients
    side, length = right.shape[-1], gradients.norm(dim=0)
    turn = (torch.atan2(down, right) * bins / math.tau).round().long() % bins  # (S, S)
    rows, columns = (length > 0.02 * length.max()).nonzero(as_tuple=True)
    scale = 1.15 / max(float(length.max()), 1e-12)
    across, along = (part[rows, columns].numpy() * scale for part in (right, down))
    tones = _tones(bins)[turn[rows, columns].numpy()]
    place.quiver(
        *(columns.numpy() - across / 2, rows.numpy() - along / 2, across, along),
        color=tones,
        **{"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.009, "headwidth": 3.5, "headlength": 4},
    )
    if sigma is not None:
        angle, middle = np.linspace(0, math.tau, 200), (side - 1) / 2
        place.plot(
            middle + sigma * np.cos(angle), middle + sigma * np.sin(angle), color=GRID, linewidth=1, dashes=(4, 3)
        )
    circle = "" if sigma is None else f" (dashed: sigma {sigma:g})"
    place.set_title(f"gradients{circle}", fontsize=10, loc="left")


def _draw_stars(place: Any, cells: Tensor) -> None:
    """Each cell's histogram as rays from its middle."""
    from matplotlib.collections import LineCollection

    bins, top = cells.shape[2], max(float(cells.max()), 1e-12)
    angle = np.arange(bins) * math.tau / bins
    reach = (
        0.46 * cells.view(16, bins, 1).numpy() / top * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    )  # (16, b, 2)
    middles = np.stack([np.arange(16) % 4, np.arange(16) // 4], axis=1)[:, None] + 0 * reach
    rays = np.stack([middles, middles + reach], axis=2).reshape(-1, 2, 2)
    shown = np.abs(reach).sum(axis=2).ravel() > 0.005
    tones = np.tile(_tones(bins), (16, 1))
    place.add_collection(LineCollection(list(rays[shown]), colors=tones[shown], linewidths=2.4, capstyle="round"))
    for line in (0.5, 1.5, 2.5):
        place.axhline(line, color=GRID, linewidth=0.8)
        place.axvline(line, color=GRID, linewidth=0.8)
    place.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5))
    place.set_title("4 x 4 cells, a ray a direction", fontsize=10, loc="left")


def _draw_bars(place: Any, cells: Tensor) -> None:
    """All numbers in their order, a thin line between cells and a thick one between rows of cells."""
    bins, values = cells.shape[2], cells.flatten().numpy()
    place.bar(np.arange(len(values)), values, width=0.9, color=np.tile(_tones(bins), (16, 1)))
    for cell in range(1, 16):
        place.axvline(cell * bins - 0.5, color=GRID, linewidth=1.4 if cell % 4 == 0 else 0.5)
    place.set(xlim=(-0.5, len(values) - 0.5), ylabel="value")
    place.set_xticks([(cell + 0.5) * bins - 0.5 for cell in range(16)])
    place.set_xticklabels([f"{cell // 4 + 1}, {cell % 4 + 1}" for cell in range(16)], fontsize=8)
    place.set_xlabel("row and column of the cell; in each, the directions")
    place.tick_params(length=0, axis="x")
    place.spines[["top", "right"]].set_visible(False)
    place.set_title(f"descriptor: {len(values)} numbers, norm {np.linalg.norm(values):.2f}", fontsize=10, loc="left")
    if bins == len(ARROWS):
        from matplotlib.patches import Patch

        keys = [Patch(color=tone, label=arrow) for tone, arrow in zip(WHEEL, ARROWS, strict=True)]
        compact = {"handlelength": 0.8, "handletextpad": 0.3, "columnspacing": 1.1, "borderaxespad": 0.1}
        place.legend(handles=keys, ncols=8, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, **compact)
