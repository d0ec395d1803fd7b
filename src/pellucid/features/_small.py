"""Pictures brought to one small gray size, to be compared; small enough for many to be kept at hand."""

import torch.nn.functional as F
from torch import Tensor


def small(image: Tensor) -> Tensor:
    """Pictures (..., C, H, W) as (..., 1, 64, 64), gray."""
    gray = image.float().mean(dim=-3, keepdim=True)
    flat = gray.reshape(-1, 1, *gray.shape[-2:])
    made: Tensor = F.interpolate(flat, (64, 64), mode="bilinear", antialias=True, align_corners=False)
    return made.reshape(*gray.shape[:-2], 64, 64)
