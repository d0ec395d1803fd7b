"""Noisy copies of images: the same noise for every image and every way of cutting the work into chunks."""

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range
from pellucid.models import Plan


def noisy(images: Tensor, samples: int, std: float, generator: torch.Generator | None, *, clip: bool = False) -> Plan:
    """Copies of each image with Gaussian noise of `std` times the image's own range.

    Args:
        images: (N, C, H, W).
        samples: P, how many copies, at least 1.
        std: share of each image's range (largest minus smallest value), at least 0.
        generator: source of the noise; None takes one of seed 0.
        clip: keep the copies in [0, 1].
    """
    check_count("samples", samples, 1)
    check_range("std", std, 0)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    seeds = torch.randint(2**62, (samples,), generator=source, device=source.device).tolist()
    spread = std * (images.amax(dim=(1, 2, 3)) - images.amin(dim=(1, 2, 3)))  # (N,)

    def vary(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        noise = torch.stack([_drawn(seeds[number], some) for number in numbers.tolist()])  # (p, C, H, W)
        copies = some + spread[rows, None, None, None] * noise[:, None]  # (p, n, C, H, W)
        return copies.clamp(0, 1) if clip else copies

    return Plan(images, samples, vary)


def _drawn(seed: int, like: Tensor) -> Tensor:
    """Standard normal noise (C, H, W), drawn on the CPU so that every device gets the same."""
    noise = torch.randn(like.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float32)
    return noise.to(like)
