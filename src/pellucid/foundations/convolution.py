"""Convolution: the same weights at every place, worked in four ways that agree.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86, 1998. https://doi.org/10.1109/5.726791
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .convolution_matrix import convolution_matrix
from .convolution_sizes import Padding, padding_of, windows_along

ROUTES = ("loops", "unfold", "fourier", "matrix")
"""Window by window; all windows as rows of one product; a product of spectra; one sparse matrix of shared weights."""

MODES = ("correlation", "convolution")
"""The kernel as it stands, as networks use it; or flipped on both axes, as mathematics defines it."""


def convolution(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    groups: int = 1,
    mode: str = "correlation",
    route: str = "loops",
) -> Tensor:
    """T(r, c) = b + sum over k, u, v of w(k, u, v) x(k, rs + ud - p, cs + vd - p), by one of four routes.

    Args:
        images: (N, C, H, W), float.
        weight: (O, C / groups, kh, kw), dtype of images.
        bias: (O,), added to every place of its output; None: none.
        stride: step between windows, at least 1.
        padding: valid, same, same_ceil, full, or zeros on each side: one number, or (height, width).
        dilation: step between the pixels a window takes, at least 1.
        groups: parts of the channels that do not see each other; divides C and O.
        mode: correlation (the kernel as it stands) or convolution (flipped on both axes).
        route: loops, unfold, fourier or matrix; changes no result but by rounding.

    Returns:
        (N, O, H', W'), dtype of images.

    Raises:
        ValueError: shapes or dtypes that do not fit, a kernel larger than the padded image, no such word.
    """
    check_convolution(images, weight, bias, groups)
    check_choice("mode", mode, MODES)
    check_choice("route", route, ROUTES)
    size, kernel = (images.shape[2], images.shape[3]), (weight.shape[2], weight.shape[3])
    sides = padding_of(padding, size, kernel, stride=stride, dilation=dilation)
    turned = weight.flip(2, 3) if mode == "convolution" else weight
    if route == "matrix":
        found = _by_matrix(images, turned, sides, stride=stride, dilation=dilation, groups=groups)
    else:
        padded = F.pad(images, sides)
        for length, side in zip(padded.shape[2:], kernel, strict=True):
            windows_along(length, side, stride=stride, dilation=dilation)  # it fits
        by = {"loops": _by_loops, "unfold": _by_unfolding, "fourier": _by_spectra}[route]
        grouped = turned.reshape(groups, -1, *turned.shape[1:])  # (g, O/g, C/g, kh, kw)
        parts = padded.reshape(len(padded), groups, -1, *padded.shape[2:])  # (N, g, C/g, H, W)
        found = by(parts, grouped, stride, dilation).flatten(1, 2)
    return found if bias is None else found + bias[:, None, None]


def check_convolution(images: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    """Refuse images, a weight and a bias that do not fit together."""
    if images.ndim != 4 or weight.ndim != 4 or not images.numel() or not weight.numel():
        shapes = f"{tuple(images.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"images must be (N, C, H, W) and weight (O, C / groups, kh, kw), got {shapes}")
    dtypes = {str(one.dtype).removeprefix("torch.") for one in (images, weight, bias) if one is not None}
    if len(dtypes) > 1 or not images.is_floating_point():
        raise ValueError(f"images, weight and bias must have one float dtype, got {', '.join(sorted(dtypes))}")
    for name, values in (("images", images), ("weight", weight), ("bias", bias)):
        if values is not None and not bool(values.isfinite().all()):
            raise ValueError(f"{name} must be finite, got NaN or infinity")
    check_count("groups", groups, 1)
    channels, outputs = images.shape[1], weight.shape[0]
    if channels % groups or outputs % groups:
        raise ValueError(f"groups must divide {channels} channels and {outputs} outputs, got {groups}")
    if weight.shape[1] * groups != channels:
        raise ValueError(
            f"weight must have {channels // groups} channels for each of its kernels, got {weight.shape[1]}"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), one for each output, got {tuple(bias.shape)}")


def _by_loops(padded: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Window by window: cut out, multiply, sum.  (N, g, C/g, H, W) -> (N, g, O/g, H', W')."""
    tall, wide = ((side - 1) * dilation + 1 for side in weight.shape[3:])
    rows = []
    for top in range(0, padded.shape[3] - tall + 1, stride):
        row = []
        for left in range(0, padded.shape[4] - wide + 1, stride):
            window = padded[..., top : top + tall : dilation, left : left + wide : dilation]  # (N, g, C/g, kh, kw)
            row.append((window[:, :, None] * weight).sum(dim=(3, 4, 5)))  # (N, g, O/g)
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)


def _by_unfolding(padded: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """All windows as columns of a matrix, the kernels as rows of another, and their product."""
    tall, wide = ((side - 1) * dilation + 1 for side in weight.shape[3:])
    windows = padded.unfold(3, tall, stride).unfold(4, wide, stride)[..., ::dilation, ::dilation]
    high, across = windows.shape[3:5]
    columns = windows.permute(0, 1, 2, 5, 6, 3, 4).flatten(2, 4).flatten(3)  # (N, g, C/g kh kw, H' W')
    products = weight.flatten(2) @ columns  # (N, g, O/g, H' W')
    return products.view(*products.shape[:3], high, across)


def _by_spectra(padded: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Spectra, the kernel's conjugated (it is not flipped), multiplied; what does not wrap around is kept."""
    tall, wide = ((side - 1) * dilation + 1 for side in weight.shape[3:])
    spread = weight.new_zeros(*weight.shape[:3], tall, wide)
    spread[..., ::dilation, ::dilation] = weight
    high, across = padded.shape[3:]
    whole = (high + tall - 1, across + wide - 1)  # nothing wraps around; in the part that is kept it would not at n
    images, kernels = torch.fft.rfft2(padded, s=whole), torch.fft.rfft2(spread, s=whole)
    product = torch.einsum("ngchw,gochw->ngohw", images, kernels.conj())
    found: Tensor = torch.fft.irfft2(product, s=whole)
    return found[..., : high - tall + 1 : stride, : across - wide + 1 : stride]


def _by_matrix(
    images: Tensor, weight: Tensor, sides: tuple[int, int, int, int], *, stride: int, dilation: int, groups: int
) -> Tensor:
    """One sparse matrix times the image as a vector."""
    shared = convolution_matrix(
        weight, (images.shape[2], images.shape[3]), sides, stride=stride, dilation=dilation, groups=groups
    )
    columns: Tensor = torch.sparse.mm(shared.values, images.flatten(1).T)  # (O H' W', N)
    return columns.T.reshape(len(images), *shared.outputs)
