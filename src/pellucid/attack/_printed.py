"""A patch as a PNG: enlarged smoothly for paper, transparent outside, with what it is written into it."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ._paste import Patch, cover
from ._places import Spread

KEY = "pellucid.patch"
"""Under which a file's text says how the patch is read back."""

FORMAT = 1

PIXELS = 1000
"""Least width of the PNG."""

MOST = 4096
"""Largest width of a patch's own pixels that is read."""


def write_patch(made: Patch, path: str | Path, *, centimetres: float = 10.0) -> None:
    """Write a patch as a PNG to be printed, transparent outside its shape, that `read_patch` reads back.

    Args:
        made: the patch.
        path: the file.
        centimetres: width on paper, above 0.

    Raises:
        ValueError: centimetres is none.
    """
    if not 0 < centimetres < math.inf:
        raise ValueError(f"centimetres must be above 0, got {centimetres}")
    side = made.colours.shape[-1]
    factor = -(-PIXELS // side) | 1  # odd, so that every pixel's own value stands in the middle of its block
    large = F.interpolate(
        made.colours[None].float().cpu(), scale_factor=factor, mode="bilinear", align_corners=False
    )  # (1, C, S * factor, S * factor): between pixels as `paste` sees them
    opaque = cover(made.spread.shape, side * factor)[None, None]
    levels = torch.cat([large, opaque], dim=1)[0].clamp(0, 1).mul(255).round().byte()
    picture = Image.fromarray(levels.permute(1, 2, 0).numpy(), "RGBA" if len(levels) == 4 else "LA")
    dots = side * factor / (centimetres / 2.54)
    picture.save(path, "PNG", pnginfo=_written(made, factor), dpi=(dots, dots))


def _written(made: Patch, factor: int) -> PngInfo:
    spread = made.spread
    told = {
        "format": FORMAT,
        "factor": factor,
        "shape": spread.shape,
        "area": spread.area,
        "rotation": spread.rotation,
        "scale_low": spread.scale_low,
        "scale_high": spread.scale_high,
        "target": made.target,
        "target_name": made.target_name,
        "epsilon": made.epsilon,
    }
    low, high = (100 * spread.area * scale**2 for scale in (spread.scale_low, spread.scale_high))
    what = "any class but its own" if made.target is None else f"class {made.target} {made.target_name}".strip()
    info = PngInfo()
    info.add_text("Title", "adversarial patch")
    info.add_text("Description", f"Makes a picture {what}, laid on {low:.2g} to {high:.2g} % of it, tilted at random.")
    info.add_text("Software", "pellucid")
    info.add_text(KEY, json.dumps(told))
    return info


def read_patch(path: str | Path) -> Patch:
    """Read a patch that `write_patch` wrote, its colours rounded to 1/255.

    Args:
        path: the PNG.

    Raises:
        ValueError: the file is missing, damaged, or no patch of pellucid.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as picture:
                picture.load()
                told = json.loads(picture.info.get(KEY) or "null")
                pixels = np.array(picture)
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not readable ({error})") from error
    except Image.DecompressionBombWarning as error:
        raise ValueError(f"{path}: too many pixels to be safe") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ValueError(f"{path}: is no patch that pellucid wrote, or not of a format it knows")
    try:
        return _patch_of(told, pixels)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: is a damaged patch ({error})") from error


def _patch_of(told: dict[str, Any], pixels: "np.ndarray") -> Patch:
    """The patch of a file's words and pixels (H, W, C + 1)."""
    factor, target, epsilon = told["factor"], told["target"], told["epsilon"]
    if type(factor) is not int or factor < 1 or factor % 2 == 0:
        raise ValueError(f"factor {factor!r}")
    if target is not None and (type(target) is not int or target < 0):
        raise ValueError(f"target {target!r}")
    if pixels.ndim != 3 or pixels.shape[0] != pixels.shape[1] or pixels.shape[0] % factor or pixels.shape[2] < 2:
        raise ValueError(f"pixels {pixels.shape}")
    if pixels.shape[0] // factor > MOST:
        raise ValueError(f"{pixels.shape[0] // factor} pixels across")
    spread = Spread(*(told[name] for name in ("shape", "area", "rotation", "scale_low", "scale_high")))
    spread.check()
    middle = slice(factor // 2, None, factor)
    own: Tensor = torch.from_numpy(pixels[middle, middle, :-1].copy()).permute(2, 0, 1).float() / 255
    name = str(told["target_name"])
    return Patch(own.contiguous(), spread, target, name, None if epsilon is None else float(epsilon))
