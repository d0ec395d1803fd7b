"""What normalises images: the mean and spread of their values, fitted on the training images alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_images

CHUNK = 4096
"""Images summed at once; in float64, so that only the last digits depend on it."""


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and standard deviation of each channel, of images in [0, 1]."""

    mean: Tensor  # (C,), float64
    std: Tensor  # (C,), float64, over all values, dividing by their number; 0 where all are the same

    def normalise(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) with mean 0 and deviation 1 in each channel, over the set fitted on."""
        std = torch.where(self.std > 0, self.std, 1)
        return (images - self.mean.to(images)[:, None, None]) / std.to(images)[:, None, None]


def channel_statistics(pixels: Tensor) -> ChannelStatistics:
    """Mean and standard deviation of each channel over all images and places.

    Args:
        pixels: (N, C, H, W), uint8, or float in [0, 1]: training images.

    Raises:
        ValueError: no images, or floats outside [0, 1].
    """
    _check(pixels)
    totals = pixels.new_zeros(2, pixels.shape[1], dtype=torch.float64)
    for chunk in torch.split(pixels, CHUNK):
        values = _unit(chunk)
        totals[0] += values.sum(dim=(0, 2, 3))
        totals[1] += values.square_().sum(dim=(0, 2, 3))
    mean, square = totals / (len(pixels) * pixels[0, 0].numel())
    std = (square - mean.square()).clamp(min=0).sqrt()
    return ChannelStatistics(mean, std)


def mean_image(pixels: Tensor) -> Tensor:
    """The mean (C, H, W), float64, in [0, 1], of images (N, C, H, W), uint8 or float in [0, 1]."""
    _check(pixels)
    total = torch.zeros_like(pixels[0], dtype=torch.float64)
    for chunk in torch.split(pixels, CHUNK):
        total += _unit(chunk).sum(dim=0)
    return total / len(pixels)


def standardised(images: Tensor) -> Tensor:
    """Each image (N, C, H, W) less its own mean, over its own deviation; a flat image becomes zeros.

    The deviation is taken as at least one over the square root of the number of values, so that noise in a nearly
    flat image is not blown up.
    """
    check_images(images)
    over, count = (1, 2, 3), images[0].numel()
    mean = images.mean(dim=over, keepdim=True)
    std = (images - mean).square().mean(dim=over, keepdim=True).sqrt()
    return (images - mean) / std.clamp(min=count**-0.5)


def _check(pixels: Tensor) -> None:
    if pixels.dtype != torch.uint8:
        check_images(pixels)
    elif pixels.ndim != 4 or pixels.numel() == 0:
        raise ValueError(f"pixels must have shape (N, C, H, W), none of them 0, got {tuple(pixels.shape)}")


def _unit(chunk: Tensor) -> Tensor:
    """A copy in float64, in [0, 1]."""
    return chunk.double().div_(255) if chunk.dtype == torch.uint8 else chunk.to(torch.float64, copy=True)
