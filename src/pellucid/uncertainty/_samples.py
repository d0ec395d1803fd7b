"""What every score of samples is asked with."""

import torch
from torch import Tensor

NEAR_ONE = 1e-5
"""How far from 1 a row of probabilities may sum."""


def check_samples(samples: Tensor) -> Tensor:
    """The samples (S, N, K), float32 at least; refuses anything but S, N at least 1 and K at least 2 rows of shares."""
    if not isinstance(samples, Tensor) or not samples.is_floating_point():
        given = samples.dtype if isinstance(samples, Tensor) else type(samples).__name__
        raise ValueError(f"samples must be float probabilities (S, N, K), got {given}")
    if samples.ndim != 3:
        hint = "; of one answer for each image take probabilities[None]" if samples.ndim == 2 else ""
        raise ValueError(f"samples must have shape (S, N, K), got {tuple(samples.shape)}{hint}")
    if not samples.numel() or samples.shape[2] < 2:
        raise ValueError(
            f"samples must hold a sample, an image and 2 classes at least, got shape {tuple(samples.shape)}"
        )
    is_half = samples.dtype in {torch.float16, torch.bfloat16}
    samples = samples.detach().float() if is_half else samples.detach()
    off = float((samples.sum(dim=2) - 1).abs().max())
    if not off <= (1e-2 if is_half else NEAR_ONE) or float(samples.min()) < 0:  # NaN is off as well
        raise ValueError(
            f"samples must be probabilities, rows at least 0 that sum to 1, got rows off by up to {off:.3g} and a "
            f"smallest value of {float(samples.min()):.3g}: take the softmax of logits first"
        )
    return samples
