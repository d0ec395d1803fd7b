"""What is done to an image between two gradients: blur, penalties, and a gradient seen in Fourier space."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ALIKE = 0.9
"""Correlation of the colour channels of a natural image, roughly: most of what differs is brightness."""


def blurred(u: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) under a Gaussian of sigma pixels; the edge is continued."""
    if sigma == 0:
        return u
    reach = max(1, math.ceil(4 * sigma))
    places = torch.arange(-reach, reach + 1, dtype=torch.promote_types(u.dtype, torch.float32), device=u.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(u)
    flat = u.flatten(0, 1)[:, None]  # (N * C, 1, H, W)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    return flat[:, 0].view_as(u)


def shrunk(u: Tensor, amount: float, regulariser: str) -> Tensor:
    """The v nearest to u at the price of amount * regulariser(v): of l2sq the squared norm, of l2 the norm.

    It minimises ||v - u||^2 / 2 + amount * regulariser(v), for each image (N, C, H, W).
    """
    if regulariser == "l2sq":
        return u / (1 + 2 * amount)
    size = u.flatten(1).norm(dim=1)[:, None, None, None]
    return u * (1 - amount / torch.where(size > 0, size, 1)).clamp(min=0)


def slope(u: Tensor, regulariser: str) -> Tensor:
    """Gradient of the regulariser at u: l2sq the squared norm, l2 the norm, tv the lengths of the pixels' gradients."""
    if regulariser == "l2sq":
        return 2 * u
    if regulariser == "l2":
        size = u.flatten(1).norm(dim=1)[:, None, None, None]
        return u / torch.where(size > 0, size, 1)
    down = F.pad(u.diff(dim=2), (0, 0, 0, 1))  # zero in the last row
    right = F.pad(u.diff(dim=3), (0, 1))
    length = (down**2 + right**2 + 1e-8).sqrt()
    down, right = down / length, right / length
    return F.pad(down, (0, 0, 1, 0))[:, :, :-1] + F.pad(right, (1, 0))[..., :-1] - down - right


def preconditioned(gradient: Tensor) -> Tensor:
    """The direction of steepest ascent of an image held as scaled Fourier coefficients of decorrelated colours.

    C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017, "Preconditioning and
    parameterization": a linear parameterisation u = A v makes of the gradient g the direction A A^T g. Here A A^T
    scales each frequency f by 1 / f and mixes colours whose correlation is `ALIKE`. The paper scales v by 1 / f, which
    would be 1 / f^2 here, but takes Adam's steps, which are as long for every coefficient and come to 1 / f again.
    Each image's result keeps the norm of its gradient.
    """
    height, width = gradient.shape[-2:]
    dtype = torch.promote_types(gradient.dtype, torch.float32)  # half precision has no Fourier transform
    rows = torch.fft.fftfreq(height, dtype=dtype, device=gradient.device)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=dtype, device=gradient.device)
    frequency = (rows**2 + columns**2).sqrt().clamp(min=1 / max(height, width))
    found = torch.fft.irfft2(torch.fft.rfft2(gradient.to(dtype)) / frequency, s=(height, width))
    if found.shape[1] == 3:
        found = (1 - ALIKE) * found + ALIKE * found.sum(dim=1, keepdim=True)
    before, after = (one.flatten(1).norm(dim=1)[:, None, None, None] for one in (gradient.to(dtype), found))
    result: Tensor = (found * before / torch.where(after > 0, after, 1)).to(gradient)
    return result
