"""Gray images, their gradients as two separable correlations, and the bins of direction that these fall into."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BORDERS = ("replicate", "reflect")
"""What lies beyond an image: its last pixel again, or its mirror image."""

SHARES = ("hard", "linear")
"""Whether a gradient counts for one bin alone, or is shared between the two next to it."""

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue count for in a gray image."""


SCALE = 4
"""By what sums and differences of whole pixels are too large for gradients: 1/2 (1, 2, 1) and 1/2 (-1, 0, 1)."""


def check_channels(images: Tensor) -> None:
    """Refuse images that are neither gray nor RGB."""
    if images.shape[1] not in {1, 3}:
        raise ValueError(f"images must have 1 or 3 channels, got {images.shape[1]}")


def gray(images: Tensor) -> Tensor:
    """Images (N, 1 or 3, H, W) as gray ones (N, H, W), float32 at least."""
    wide = images if images.dtype == torch.float64 else images.float()
    if wide.shape[1] == 1:
        return wide[:, 0]
    red, green, blue = wide.unbind(dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def padded(images: Tensor, border: str) -> Tensor:
    """Gray images (N, H, W) with one pixel more on every side, (N, H + 2, W + 2)."""
    return F.pad(images[:, None], (1, 1, 1, 1), mode=border)[:, 0]


def slopes(framed: Tensor) -> tuple[Tensor, Tensor]:
    """I_x and I_y, (N, H, W), of images framed by one pixel (N, H + 2, W + 2).

    I_x is above 0 where brightness rises to the right, I_y where it rises downwards; a step by 1 gives 1 on both sides.
    """
    right, down = _differences(framed)
    return right.mul_(1 / SCALE), down.mul_(1 / SCALE)


def orientations(framed: Tensor, bins: int, share: str) -> list[tuple[Tensor, Tensor]]:
    """Which bin each pixel's gradient points to, and how strongly: of framed images (N, H + 2, W + 2).

    Bin b is centred on b turns / bins from "to the right" towards "downwards". With share "hard" a pixel's magnitude
    stands in the nearest bin, with "linear" in the two on either side of its angle, the nearer getting more.

    Returns:
        One pair, or two for "linear": bins (N, H, W), int32, in [0, bins), and magnitudes (N, H, W), SCALE times.
    """
    right, down = _differences(framed)
    place = torch.atan2(down, right).mul_(bins / math.tau)  # (N, H, W), in bins, -bins / 2 to bins / 2
    strength = right.square_().addcmul_(down, down).sqrt_()
    if share == "hard":
        return [(_turned(place.add_(0.5).floor_(), bins), strength)]
    low = place.floor().clamp_(max=(bins - 1) // 2)
    above = place.sub_(low).mul_(strength)  # (N, H, W), the share of the next bin
    return [(_turned(low, bins), strength.sub_(above)), (_turned(low.add_(1), bins), above)]


def _differences(framed: Tensor) -> tuple[Tensor, Tensor]:
    """`slopes`, SCALE times as large."""
    tall, wide = framed[:, 1:-1], framed[:, :, 1:-1]
    rows = torch.add(framed[:, :-2] + framed[:, 2:], tall, alpha=2)  # (N, H, W + 2), (1, 2, 1) downwards
    columns = torch.add(framed[:, :, :-2] + framed[:, :, 2:], wide, alpha=2)  # (N, H + 2, W), (1, 2, 1) to the right
    return rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]


def _turned(place: Tensor, bins: int) -> Tensor:
    """Whole numbers (N, H, W), from -bins to bins less 1, modulo bins, as int32."""
    number = place.int()
    return number.sub_(number >> 31, alpha=bins)  # the shift gives -1 for those below 0
