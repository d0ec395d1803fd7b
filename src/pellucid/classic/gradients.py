"""Image gradients: how steeply brightness rises to the right and downwards, by Sobel's pair of kernels.

I. Sobel, G. Feldman, "A 3x3 Isotropic Gradient Operator for Image Processing", Stanford Artificial Intelligence
Project, 1968; halved: 1/4 [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]] and its transpose.
"""

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_images

from ._gradients import BORDERS, check_channels, gray, padded, slopes


@torch.no_grad()
def gradients(images: Tensor, *, border: str = "replicate") -> Tensor:
    """How steeply brightness rises to the right and downwards, of every pixel; what `dense_sift` counts.

    Args:
        images: (N, 1 or 3, H, W), float, in [0, 1], at least 2 x 2; colour becomes gray.
        border: what lies beyond the image's edge: replicate (the last pixel again) or reflect (the mirror image).

    Returns:
        (N, 2, H, W), float32 (float64 of such images): to the right, and down; a step by 1 gives 1 on both its sides.

    Raises:
        ValueError: images are smaller, outside [0, 1] or neither gray nor RGB, or the border is none of these.
    """
    check_images(images)
    check_channels(images)
    check_choice("border", border, BORDERS)
    height, width = images.shape[-2:]
    if min(height, width) < 2:
        raise ValueError(f"images must be at least 2 x 2, got {height} x {width}")
    return torch.stack(slopes(padded(gray(images), border)), dim=1)
