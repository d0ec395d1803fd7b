"""Sheets: many small pictures on one page, the channels of a layer in one mosaic, and the curves beside them."""

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pellucid.checks import check_choice, check_range

from .figures import panel
from .pictures import pixels

SCALES = ("map", "layer", "unit")
"""Each map from its lowest to its highest value; all by the layer's; or [0, 1] as it is."""


def contact_sheet(
    pictures: Sequence["np.ndarray"], titles: Sequence[str], path: Path, title: str = "", *, columns: int = 0
) -> None:
    """Labelled pictures (H, W, 3), uint8, in a grid as one PNG.

    Args:
        pictures: at least one.
        titles: one each.
        path: the PNG to write.
        title: over the sheet.
        columns: pictures a row; 0 makes the grid as square as it gets.
    """
    if not pictures or len(pictures) != len(titles):
        raise ValueError(f"pictures must be at least one, with a title each, got {len(pictures)} and {len(titles)}")
    check_range("columns", columns, 0)
    wide = min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures))
    rows = [slice(first, first + wide) for first in range(0, len(pictures), wide)]
    panel([pictures[row] for row in rows], [titles[row] for row in rows], path, title)


def pair_sheet(
    before: Tensor, after: Tensor, names: Sequence[str], told: Sequence[str], path: Path, *, title: str = ""
) -> None:
    """Images as they are over what was made of them, a column for each, as one PNG.

    Args:
        before: (N, C, H, W), in [0, 1].
        after: (N, C, h, w), in [0, 1].
        names: what each image shows, written over it.
        told: what was done to each, written between the two.
        path: the PNG to write.
        title: over the sheet.
    """
    counts = [len(before), len(after), len(names), len(told)]
    if not counts[0] or len({*counts}) > 1:
        raise ValueError(f"before, after, names and told must be as many, at least 1, got {counts}")
    rows = [[pixels(image) for image in images] for images in (before, after)]
    panel(rows, [list(names), list(told)], path, title)


def channel_sheet(maps: Tensor, path: Path, title: str, *, most: int = 256, scale: str = "map") -> int:
    """Channels (K, h, w) side by side as one PNG, the first at the top left; says how many of how many.

    Args:
        maps: (K, h, w), any unit.
        path: the PNG to write.
        title: over the sheet; the count is added.
        most: channels shown, at least 1.
        scale: map (each channel by its own range), layer (all by one range, to compare them) or unit ([0, 1]).

    Returns:
        How many are shown.
    """
    check_range("most", most, 1)
    shown = maps[:most]
    picture = mosaic(scaled_maps(maps, scale)[:most])
    count = f"{len(shown)} channels" if len(shown) == len(maps) else f"{len(shown)} of {len(maps)} channels"
    captioned(picture, f"{title}: {count}").save(path, "PNG")
    return len(shown)


def scaled_maps(maps: Tensor, scale: str) -> Tensor:
    """Maps (K, h, w) in [0, 1] for display; what is flat becomes zeros."""
    check_choice("scale", scale, SCALES)
    values = maps.detach().float().cpu()
    if not bool(torch.isfinite(values).all()):
        raise ValueError("maps must be finite to be drawn, got NaN or infinite values")
    if scale == "unit":
        return values.clamp(0, 1)
    over = (1, 2) if scale == "map" else (0, 1, 2)
    low, high = values.amin(dim=over, keepdim=True), values.amax(dim=over, keepdim=True)
    return (values - low) / torch.where(high > low, high - low, 1)


def mosaic(tiles: Tensor, *, least: int = 24) -> "np.ndarray":
    """Tiles (K, h, w) in [0, 1], in viridis, or colour ones (K, C, h, w), in ceil(sqrt(K)) columns with a gap.

    Args:
        tiles: at least one.
        least: each is enlarged by a whole factor until its shorter side has so many pixels.

    Returns:
        (H, W, 3), uint8, white between the tiles.
    """
    from matplotlib import colormaps

    if tiles.ndim == 3:
        painted = torch.from_numpy(colormaps["viridis"](tiles.numpy())[..., :3]).permute(0, 3, 1, 2)  # (K, 3, h, w)
    else:
        painted = tiles.detach().cpu().expand(-1, 3, -1, -1)
    factor = max(1, -(-least // min(painted.shape[-2:])))
    painted = painted.float().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    painted = F.pad(painted, (0, 2, 0, 2), value=1.0)
    count, _, height, width = painted.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    page = painted.new_ones(rows * columns, 3, height, width)
    page[:count] = painted
    page = page.view(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2)  # (rows, h, columns, w, 3)
    whole = page.reshape(rows * height, columns * width, 3)[:-2, :-2]
    shown: np.ndarray = (whole.clamp(0, 1) * 255).round().byte().numpy()
    return shown


def captioned(picture: "np.ndarray", text: str) -> Image.Image:
    """A picture (H, W, 3), uint8, as it is, under a line of text, broken where it is too long."""
    font = ImageFont.load_default(13)
    width = max(240, picture.shape[1])
    lines = wrap(text, max(8, width // 7))
    canvas = Image.new("RGB", (width, picture.shape[0] + 17 * len(lines) + 6), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(canvas).text((4, 3 + 17 * number), line, fill="black", font=font)
    canvas.paste(Image.fromarray(picture), (0, 17 * len(lines) + 6))
    return canvas


def bar_chart(values: Tensor, path: Path, title: str, *, axis: str = "channel") -> None:
    """Numbers (K,) as bars in one PNG: what a layer without positions puts out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), dpi=150, layout="constrained")
    place = figure.subplots()
    numbers = values.detach().float().cpu().numpy()
    place.bar(np.arange(len(numbers)), numbers, width=1.0, color="#33638d")
    place.set(xlabel=axis, xlim=(-0.5, len(numbers) - 0.5))
    place.set_title(title.replace("$", r"\$"), fontsize=9)
    figure.savefig(path, format="png")


def curves(values: Tensor, names: Sequence[str], path: Path, *, axis: str, label: str) -> None:
    """Columns of (T, N) as curves in one PNG, named where they are at most ten."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), dpi=150, layout="constrained")
    place = figure.subplots()
    for column, name in zip(values.detach().float().cpu().numpy().T, names, strict=True):
        place.plot(column, linewidth=1, label=name.replace("$", r"\$").lstrip("_"))
    place.set(xlabel=axis, ylabel=label)
    if len(names) <= 10:
        place.legend(frameon=False, fontsize=7)
    figure.savefig(path, format="png")
