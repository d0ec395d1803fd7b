"""Rows of features whose classes overlap, and rows whose classes stand apart."""

import torch
from torch import Tensor


def overlapping(
    count: int = 120, dimension: int = 12, classes: int = 3, *, spread: float = 1.5, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Rows (N, D) and targets (N,), the classes in turn."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dimension, generator=generator)
    targets = torch.arange(count) % classes
    return centres[targets] + spread * torch.randn(count, dimension, generator=generator), targets


def apart(count: int = 60, dimension: int = 8, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Rows whose classes any linear boundary tells apart."""
    return overlapping(count, dimension, classes, spread=0.05)
