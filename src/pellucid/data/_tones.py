"""Changes of tone and of resolution of images (N, C, H, W), each by its strengths."""

from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def brightness(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """The value of hue, saturation and value raised by a number, up to 1; what is black becomes gray."""
    value = images.amax(dim=1, keepdim=True)
    raised = (value + strength[0]).clamp(max=1)
    return torch.where(value > 0, images * raised / value.clamp(min=1e-12), raised)


def contrast(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """Every channel brought nearer to its mean over the image by a factor."""
    means = images.mean(dim=(2, 3), keepdim=True)
    return means + strength[0] * (images - means)


def saturate(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """The saturation of hue, saturation and value multiplied, then raised; gray, which has no hue, stays gray."""
    _check_channels(images, "saturate")
    factor, more = strength
    value, least = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    saturation = (value - least) / value.clamp(min=1e-12)
    wanted = (factor * saturation + more).clamp(0, 1)
    return torch.where(saturation > 0, value - (value - images) * wanted / saturation.clamp(min=1e-12), images)


def pixelate(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """Averaged over fewer, larger pixels: both sides by a factor."""
    height, width = images.shape[-2:]
    down, right = (_boxes(side, max(1, int(side * strength[0]))).to(images) for side in (height, width))
    return F.interpolate(down @ images @ right.T, (height, width), mode="nearest-exact")


def jpeg(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """Written as a JPEG file of a quality, and read again."""
    _check_channels(images, "jpeg")
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    read = []
    for image in pixels.permute(0, 2, 3, 1).numpy():  # (H, W, C)
        file = BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, "JPEG", quality=int(strength[0]))
        found = torch.from_numpy(np.array(Image.open(file)))
        read.append(found[None] if found.ndim == 2 else found.permute(2, 0, 1))
    return torch.stack(read).to(images) / 255


def _boxes(side: int, few: int) -> Tensor:
    """(few, side), float64, rows sum to 1: each takes the pixels whose centres lie in its share of the side."""
    places = (torch.arange(side, dtype=torch.float64) + 0.5) * few / side  # in units of the new pixels
    inside = (places[None] - torch.arange(few, dtype=torch.float64)[:, None] - 0.5).abs() <= 0.5
    return inside / inside.sum(dim=1, keepdim=True)


def _check_channels(images: Tensor, kind: str) -> None:
    if images.shape[1] not in {1, 3}:
        raise ValueError(f"{kind} needs images of 1 or 3 channels, got {images.shape[1]}")
