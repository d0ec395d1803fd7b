"""Convolution sizes: how large what comes out is, what it costs in weights, and how far it sees.

V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016. https://arxiv.org/abs/1603.07285
"""

from collections.abc import Sequence
from typing import TypeAlias

from pellucid.checks import check_count, near

Padding: TypeAlias = str | int | tuple[int, int]
"""valid, same, same_ceil or full, or zeros on each side: one number, or one for height and one for width."""

WORDS = ("valid", "same", "same_ceil", "full")


def padding_of(
    padding: Padding, size: tuple[int, int], kernel: tuple[int, int], *, stride: int = 1, dilation: int = 1
) -> tuple[int, int, int, int]:
    """Zeros to add on the left, right, top and bottom.

    Args:
        padding: valid (0), same (d(k-1) in all, less on the left), same_ceil, full (d(k-1) each side), or numbers.
        size: height and width of the images.
        kernel: height and width of the kernel.
        stride: step between windows; same is for 1 only, same_ceil makes ceil(n / s) of n at any.
        dilation: step between the pixels a window takes.

    Raises:
        ValueError: no such word, a negative number, or same with a stride above 1.
    """
    check_count("stride", stride, 1)
    check_count("dilation", dilation, 1)
    sides = []
    for axis in (1, 0):  # torch.nn.functional.pad begins with the last axis
        reach = dilation * (kernel[axis] - 1)
        if isinstance(padding, str):
            total = _total(padding, size[axis], reach, stride)
            sides += [total // 2, total - total // 2]
        else:
            zeros = padding if isinstance(padding, int) else padding[axis]
            check_count("padding", zeros, 0)
            sides += [zeros, zeros]
    left, right, top, bottom = sides
    return left, right, top, bottom


def output_size(length: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Outputs along one axis: floor((n + 2p - d(k - 1) - 1) / s) + 1.

    Args:
        length: n, of the image, in pixels.
        kernel: k, of the kernel, at least 1.
        stride: s, step between windows, at least 1.
        padding: p, zeros on each side.
        dilation: d, step between the pixels a window takes, at least 1.

    Raises:
        ValueError: the kernel does not fit, or an argument is out of its range.
    """
    check_count("padding", padding, 0)
    return windows_along(length + 2 * padding, kernel, stride=stride, dilation=dilation)


def windows_along(length: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> int:
    """Windows that fit into so many pixels, padding counted in."""
    for name, value in (("length", length), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        check_count(name, value, 1)
    reach = dilation * (kernel - 1) + 1
    if reach > length:
        spread = f" (spread over {reach} by dilation {dilation})" if dilation > 1 else ""
        raise ValueError(f"kernel {kernel}{spread} does not fit padded input {length}; pad more or take a smaller one")
    return (length - reach) // stride + 1


def transposed_size(
    length: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Outputs of a transposed convolution along one axis: (n - 1)s - 2p + d(k - 1) + 1 + output_padding."""
    for name, value in (("length", length), ("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        check_count(name, value, 1)
    check_count("padding", padding, 0)
    check_count("output_padding", output_padding, 0, max(stride, dilation) - 1)
    found = (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding
    if found < 1:
        raise ValueError(f"padding must leave something of {found + 2 * padding} pixels, got {padding}")
    return found


def convolution_weights(channels: int, outputs: int, kernel: int, *, groups: int = 1) -> int:
    """Weights and biases of a convolution: (k^2 C/g + 1) O; the size of the image does not enter."""
    return (kernel**2 * channels // groups + 1) * outputs


def dense_weights(inputs: tuple[int, int, int], outputs: tuple[int, int, int]) -> int:
    """Weights and biases of a fully connected layer between (C, H, W) and (O, H', W'): all to all, one bias each."""
    (channels, height, width), (made, high, wide) = inputs, outputs
    return (channels * height * width + 1) * made * high * wide


def receptive_field(kernels: Sequence[int], strides: Sequence[int], dilations: Sequence[int] | None = None) -> int:
    """Side of what one output sees after several layers, in pixels: each adds d(k - 1) of its own input's steps.

    Args:
        kernels: side of each layer's kernel, the first layer first.
        strides: of each layer.
        dilations: of each layer; None: 1.
    """
    seen, step = 1, 1
    for kernel, stride, dilation in zip(kernels, strides, dilations or [1] * len(kernels), strict=True):
        seen += dilation * (kernel - 1) * step
        step *= stride
    return seen


def _total(word: str, length: int, reach: int, stride: int) -> int:
    """Zeros on both sides together."""
    if word not in WORDS:
        raise ValueError(f"padding must be {', '.join(WORDS)} or a number, got {word!r}{near(word, WORDS)}")
    if word == "same" and stride > 1:
        raise ValueError(f"padding same needs stride 1, got {stride}; same_ceil makes ceil(n / stride) outputs of n")
    if word == "same_ceil":
        return max(0, (-(-length // stride) - 1) * stride + reach + 1 - length)
    return {"valid": 0, "same": reach, "full": 2 * reach}[word]
