"""Blurs of images (N, C, H, W), each by its strengths; beyond the border lies its last pixel."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """By a bell of one deviation, in pixels, cut off at four."""
    row = _bell(strength[0], int(4 * strength[0] + 0.5)).to(images)
    return _blurred(_blurred(images, row[None]), row[:, None])


def defocus_blur(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """By a disc of a radius whose edge is softened by a bell, 3 pixels wide for radii up to 8, else 5."""
    radius, deviation = strength
    reach = max(8, int(radius))
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    disc = (place[:, None] ** 2 + place**2 <= radius**2).double()
    bell = _bell(deviation, 1 if radius <= 8 else 2)
    soft = F.conv2d(disc[None, None], (bell[:, None] * bell)[None, None], padding=len(bell) // 2)[0, 0]
    inside = int(radius) + len(bell) // 2  # nothing lies further out
    cut = slice(max(0, reach - inside), min(2 * reach, reach + inside) + 1)
    kernel = soft[cut, cut]
    return _blurred(images, (kernel / kernel.sum()).to(images))


def motion_blur(images: Tensor, strength: tuple[float, ...], turns: Tensor) -> Tensor:
    """By a trail that fades as half a bell does, in a direction for each image: turns (N,), in degrees."""
    length, deviation = strength
    steps = torch.arange(0, 2 * int(length) + 1, dtype=torch.float64)
    fading = (-(steps**2) / (2 * deviation**2)).exp()
    reach = int(steps[-1]) + 1
    kernels = torch.stack([_trail(steps, fading / fading.sum(), float(turn), reach) for turn in turns])
    moved = _padded(images, reach, reach).transpose(0, 1)  # (C, N, H + 2r, W + 2r)
    return F.conv2d(moved, kernels[:, None].to(images), groups=len(images)).transpose(0, 1)


def zoom_blur(images: Tensor, strength: tuple[float, ...]) -> Tensor:
    """The mean of the images and of their zooms from 1 up to an end that is left out."""
    end, step = strength
    zooms = [1 + step * number for number in range(math.ceil((end - 1) / step - 1e-9))]
    total = images.clone()
    for zoom in zooms:
        places = torch.eye(2, 3, dtype=images.dtype, device=images.device) / zoom
        grid = F.affine_grid(places[None].expand(len(images), 2, 3), list(images.shape), align_corners=False)
        total += F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return total / (len(zooms) + 1)


def _bell(deviation: float, reach: int) -> Tensor:
    """(2 * reach + 1,), float64, sum 1."""
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-(place**2) / (2 * deviation**2)).exp()
    return weights / weights.sum()


def _trail(steps: Tensor, weights: Tensor, turn: float, reach: int) -> Tensor:
    """Kernel (2 * reach + 1,) squared of a straight trail; a weight between pixels is shared out among the four."""
    kernel = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    down, right = (reach + steps * part for part in (math.sin(math.radians(turn)), math.cos(math.radians(turn))))
    row, column = down.floor(), right.floor()
    for lower in (0, 1):
        for later in (0, 1):
            share = (1 - (down - row - lower).abs()) * (1 - (right - column - later).abs())
            rows, columns = ((at + more).long().clamp(max=2 * reach) for at, more in ((row, lower), (column, later)))
            kernel.index_put_((rows, columns), weights * share, accumulate=True)
    return kernel


def _blurred(images: Tensor, kernel: Tensor) -> Tensor:
    """Every channel by the same kernel (h, w), both odd."""
    down, right = kernel.shape[0] // 2, kernel.shape[1] // 2
    flat = _padded(images, down, right).flatten(0, 1)[:, None]  # (N * C, 1, H + 2 down, W + 2 right)
    return F.conv2d(flat, kernel[None, None]).view(images.shape)


def _padded(images: Tensor, down: int, right: int) -> Tensor:
    return F.pad(images, (right, right, down, down), mode="replicate")
