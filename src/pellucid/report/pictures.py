"""Images and heat become pictures: 8-bit RGB arrays, and data URIs for a page."""

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from pellucid.checks import check_range

AGAINST = (0.16, 0.47, 1.0)
"""Colour of negative evidence."""

BOX = (80, 255, 160)
"""Colour of a box's outline."""


def pixels(image: Tensor) -> "np.ndarray":
    """An image (C, H, W) in [0, 1] as (H, W, 3), uint8."""
    shown = image.detach().float().cpu().clamp(0, 1)
    shown = shown.expand(3, -1, -1) if len(shown) == 1 else shown
    array: np.ndarray = (shown.permute(1, 2, 0) * 255).round().byte().numpy()
    return array


def scaled(heat: Tensor, *, clip: float = 99.0) -> Tensor:
    """Heat brought to [-1, 1] for display, zero staying zero.

    Heat without a negative value is stretched from its lowest to its highest value, else from minus to plus the
    largest magnitude; flat heat, and heat that holds NaN or infinity, says nothing and becomes zeros.

    Args:
        heat: (H, W), any unit.
        clip: percentile of the magnitudes shown at full strength, in (0, 100]; outliers above it are cut.
    """
    check_range("clip", clip, 0, 100)
    shown = heat.detach().cpu().double()
    if not bool(torch.isfinite(shown).all()):
        return torch.zeros_like(shown)
    if float(shown.max() - shown.min()) <= 1e-12 * float(shown.abs().max()):
        return torch.zeros_like(shown)
    if float(shown.min()) >= 0:
        shown = shown - shown.min()
    top = float(torch.quantile(shown.abs().flatten(), clip / 100))
    top = top if top > 0 else float(shown.abs().max())
    return (shown / top).clamp(-1, 1)


def colour(heat: Tensor) -> "np.ndarray":
    """Heat (H, W) alone, as (H, W, 3), uint8: black is nothing, bright is evidence for, blue against."""
    return _blended(scaled(heat), np.zeros((*heat.shape, 3)), np.ones(tuple(heat.shape)))


def overlay(image: Tensor, heat: Tensor) -> "np.ndarray":
    """Heat (H, W) over its image (C, H, W), grayed: (H, W, 3), uint8; warm is evidence for, blue against."""
    strength = scaled(heat)
    gray = pixels(image.mean(dim=0, keepdim=True)) / 255.0
    opacity = 0.9 * strength.abs().numpy() ** 0.6
    return _blended(strength, 0.25 + 0.6 * gray, opacity)


def enlarged(image: Tensor, side: int = 160) -> Tensor:
    """(C, H, W) enlarged by a whole factor, pixel by pixel, until its shorter side is at least `side`."""
    factor = max(1, -(-side // min(image.shape[-2:])))
    return image.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def fitted(image: Tensor, low: int, high: int) -> Tensor:
    """(C, H, W) enlarged pixel by pixel until no side is under `low`, else reduced until none is over `high`."""
    longest = max(image.shape[-2:])
    if min(image.shape[-2:]) < low or longest <= high:
        return enlarged(image, low)
    size = [max(1, round(length * high / longest)) for length in image.shape[-2:]]
    small: Tensor = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True, align_corners=False)[0]
    return small


def boxed(
    picture: "np.ndarray", boxes: Sequence[tuple[float, float, float, float]], scale: float = 1.0
) -> "np.ndarray":
    """Outlines of boxes (x0, y0, x1, y1), half open, in pixels of a picture `scale` times smaller: (H, W, 3), uint8."""
    shown = Image.fromarray(picture)
    pen = ImageDraw.Draw(shown)
    for x0, y0, x1, y1 in boxes:
        corners = (x0 * scale, y0 * scale, x1 * scale - 1, y1 * scale - 1)
        pen.rectangle(corners, outline=BOX, width=max(2, shown.width // 110))
    return np.asarray(shown)


def thumbnail(image: Tensor, *, side: int = 192) -> str:
    """An image (C, H, W) in [0, 1] as a small picture for an <img> tag: small ones enlarged, pixel by pixel.

    Args:
        image: the image.
        side: longer side of the picture, in pixels, at most; half of it at least.
    """
    small = min(image.shape[-2:]) < side // 2
    return data_uri(pixels(fitted(image, side // 2, side)), exact=small)


def data_uri(picture: "np.ndarray", *, exact: bool = False) -> str:
    """A picture (H, W, 3), uint8, for an <img> tag: JPEG, or PNG when exact."""
    file = BytesIO()
    shown = Image.fromarray(picture)
    if exact:
        shown.save(file, "PNG", optimize=True)
    else:
        shown.save(file, "JPEG", quality=82)
    kind = "png" if exact else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _blended(strength: Tensor, below: "np.ndarray", opacity: "np.ndarray") -> "np.ndarray":
    from matplotlib import colormaps

    values = strength.numpy()
    warm = colormaps["inferno"](0.25 + 0.7 * np.clip(values, 0, 1))[..., :3]
    warm = np.where(values[..., None] > 0, warm * np.clip(4 * values, 0, 1)[..., None], 0)
    cold = np.array(AGAINST) * np.clip(-values, 0, 1)[..., None]
    cover = opacity[..., None]
    mixed = below * (1 - cover) + (warm + cold) * cover
    shown: np.ndarray = np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8)
    return shown
