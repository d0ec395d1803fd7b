"""Picture files become images: EXIF turned, gray, palette, alpha, 16-bit and CMYK read right, bad files refused."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pellucid.geometry import Geometry

from ._regular import regular_file

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Formats that are decoded; none of them runs code or another program."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm"}
)
"""File names that are taken for pictures (compared in lower case)."""

MAX_BYTES = 512 * 2**20
"""A longer file is refused unread."""

MAX_STRETCH = 64
"""A picture brought to more than so many times `resize` along its longer side is refused: it would fill memory."""

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def read_image(path: str | Path, geometry: Geometry | None = None) -> Tensor:
    """Read one picture file as an image.

    Args:
        path: a JPEG, PNG, BMP, GIF (first frame), TIFF, WebP or PNM file.
        geometry: the frame a model sees (`model.geometry`); None keeps the picture's own size, in RGB.

    Returns:
        (1, C, H, W), float32, in [0, 1]; transparent pixels lie on white.

    Raises:
        ValueError: the file is missing, truncated, too large, or not a picture.
    """
    try:
        with regular_file(Path(path), MAX_BYTES) as file:
            return to_image(decode(file, geometry), geometry)[None].float() / 255
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def decode(source: BinaryIO | bytes, geometry: Geometry | None = None) -> Image.Image:
    """A picture, upright, 8 bits a channel, mode L or RGB.

    A JPEG more than twice as large as needed is decoded at a half, a quarter or an eighth of its size
    (never below twice what geometry asks for), which saves most of the time at hardly visible change.

    Raises:
        ValueError: with the reason, whatever is wrong with the bytes.
    """
    file = BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            with Image.open(file, formats=FORMATS) as picture:
                if geometry is not None and picture.format == "JPEG":
                    _draft(picture, geometry)
                picture.load()
                return _eight_bits(ImageOps.exif_transpose(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"too many pixels to be safe (over {Image.MAX_IMAGE_PIXELS:,})") from error
    except UnidentifiedImageError as error:
        raise ValueError("not a picture of a known format") from error
    except Exception as error:  # a decoder may raise nearly anything on hostile bytes; all of it means the same
        raise ValueError(f"damaged picture ({str(error) or type(error).__name__})") from error


def to_image(picture: Image.Image, geometry: Geometry | None = None) -> Tensor:
    """Resize and crop a decoded picture to a model's frame.

    Args:
        picture: mode L or RGB, from `decode`.
        geometry: size, resize, interpolation, channels; None keeps the size, in RGB.

    Returns:
        (C, H, W), uint8.

    Raises:
        ValueError: the picture is too long and thin for its shorter side to be brought to `resize`.
    """
    picture = picture.convert("RGB" if geometry is None or geometry.channels == 3 else "L")
    if geometry is not None:
        height, width = geometry.resized(picture.height, picture.width)
        if isinstance(geometry.resize, int) and max(height, width) > MAX_STRETCH * geometry.resize:
            raise ValueError(f"too long and thin: {picture.width} x {picture.height} would become {width} x {height}")
        if (width, height) != picture.size:
            picture = picture.resize((width, height), _RESAMPLING[geometry.interpolation])
        top, left = (round((side - crop) / 2) for side, crop in zip((height, width), geometry.size, strict=True))
        if (height, width) != geometry.size:
            picture = picture.crop((left, top, left + geometry.size[1], top + geometry.size[0]))
    pixels = np.array(picture)  # (H, W) or (H, W, 3)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1).contiguous()


def _draft(picture: Image.Image, geometry: Geometry) -> None:
    height, width = geometry.resized(picture.height, picture.width)
    side = 2 * max(height, width)  # also right for a picture that EXIF will turn
    picture.draft(None, (side, side))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Mode L or RGB; 16-bit and float pictures are scaled, not cut; alpha is laid on white."""
    if picture.mode in {"L", "RGB"}:
        if "transparency" not in picture.info:
            return picture
        picture = picture.convert("RGBA")
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_scaled(np.asarray(picture)))
    if picture.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in picture.info:
        solid = picture.convert("RGBA")
        white = Image.new("RGBA", solid.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, solid).convert("RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _scaled(values: "np.ndarray") -> "np.ndarray":
    """uint8 from 16-bit integers (0 to 65535), 32-bit integers in that range, or floats in [0, 1] or [0, 255]."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0:
        raise ValueError(f"pixel values from {low:g} to {high:g} have no known scale")
    full = 65535.0 if values.dtype.kind != "f" else 255.0 if high > 1 else 1.0
    if high > full:
        raise ValueError(f"pixel values up to {high:g} have no known scale")
    return np.round(values.astype(np.float64) * (255.0 / full)).astype(np.uint8)
