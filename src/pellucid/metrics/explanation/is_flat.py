"""Flat maps: which maps say nothing."""

import torch
from torch import Tensor


def is_flat(heat: Tensor) -> Tensor:
    """Whether a map is constant or not finite, so that it says nothing of where.

    Args:
        heat: (N, H, W), float.

    Returns:
        (N,), bool.
    """
    values = heat.flatten(1)
    low, high = torch.aminmax(values, dim=1)
    return ~values.isfinite().all(dim=1) | ~(high > low)
