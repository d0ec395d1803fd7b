"""Convolution as a matrix: sparse, and the same weights in every row, shifted.

V. Dumoulin, F. Visin, "A guide to convolution arithmetic for deep learning", 2016, section 4.1.
https://arxiv.org/abs/1603.07285
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .convolution_sizes import windows_along


@dataclass(frozen=True)
class ConvolutionMatrix:
    """y = M vec(x): forwards with M, backwards, as a transposed convolution does, with its transpose."""

    values: Tensor  # (O H' W', C H W), sparse: each entry is a weight
    outputs: tuple[int, int, int]  # O, H', W'


def convolution_matrix(
    weight: Tensor,
    size: tuple[int, int],
    sides: tuple[int, int, int, int] = (0, 0, 0, 0),
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> ConvolutionMatrix:
    """The matrix of a correlation with zeros around the image.

    Args:
        weight: (O, C / groups, kh, kw).
        size: height and width of the images.
        sides: zeros on the left, right, top and bottom.
        stride: step between windows, at least 1.
        dilation: step between the pixels a window takes, at least 1.
        groups: parts of the channels that do not see each other; divides O.

    Returns:
        Of (O H' W')(C H W) entries the weights that meet a pixel of the image, zeros among them; without padding
        O H' W' (C / groups) kh kw of them, with at most O (C / groups) kh kw different values.
    """
    outputs, deep, tall, wide = weight.shape
    rows, down = _meetings(size[0], tall, sides[2:], stride, dilation)  # (A,), (A,), and where in the kernel
    columns, across = _meetings(size[1], wide, sides[:2], stride, dilation)
    high, broad = (
        windows_along(size[0] + sides[2] + sides[3], tall, stride=stride, dilation=dilation),
        windows_along(size[1] + sides[0] + sides[1], wide, stride=stride, dilation=dilation),
    )
    made, channel, vertical, horizontal = torch.meshgrid(
        torch.arange(outputs), torch.arange(deep), torch.arange(len(down)), torch.arange(len(across)), indexing="ij"
    )
    row, column = rows[:, vertical], columns[:, horizontal]  # output and input place, (2, O, C/g, A, B)
    source = channel + made // (outputs // groups) * deep  # the channel among all
    entries = torch.stack(
        [(made * high + row[0]) * broad + column[0], (source * size[0] + row[1]) * size[1] + column[1]]
    ).flatten(1)
    values = weight[made, channel, down[vertical], across[horizontal]].flatten()
    shape = (outputs * high * broad, deep * groups * size[0] * size[1])
    matrix = torch.sparse_coo_tensor(entries.to(weight.device), values, shape, check_invariants=True)
    return ConvolutionMatrix(matrix.coalesce(), (outputs, high, broad))


def _meetings(length: int, kernel: int, sides: tuple[int, ...], stride: int, dilation: int) -> tuple[Tensor, Tensor]:
    """Along one axis: (2, A) output and input place of every meeting inside the image, and which weight meets there."""
    count = windows_along(length + sides[0] + sides[1], kernel, stride=stride, dilation=dilation)
    place = torch.arange(count)[:, None] * stride + torch.arange(kernel) * dilation - sides[0]  # (n', k)
    window, offset = ((place >= 0) & (place < length)).nonzero(as_tuple=True)
    return torch.stack([window, place[window, offset]]), offset
