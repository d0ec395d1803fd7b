"""Transposed convolution: every input pixel pastes the kernel, times its value; what overlaps adds up.

M. Zeiler, D. Krishnan, G. Taylor, R. Fergus, "Deconvolutional networks", CVPR 2010.
https://doi.org/10.1109/CVPR.2010.5539957
"""

from torch import Tensor

from pellucid.checks import check_count

from .convolution import check_convolution
from .convolution_sizes import transposed_size


def transposed_convolution(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    output_padding: int = 0,
) -> Tensor:
    """The convolution's step backwards: its matrix transposed, which is also its gradient with respect to its input.

    Args:
        images: (N, O, H, W), float.
        weight: (O, C, kh, kw), dtype of images: that of the convolution it undoes in shape.
        bias: (C,); None: none.
        stride: step between the places pasted to, at least 1.
        padding: pixels cut off on each side, at least 0.
        dilation: step between the pixels of a pasted kernel, at least 1.
        output_padding: rows and columns kept beyond what is pasted, less than stride or dilation.

    Returns:
        (N, C, H', W') with H' = (H - 1) stride - 2 padding + dilation (kh - 1) + 1 + output_padding.

    Raises:
        ValueError: shapes or dtypes that do not fit, or nothing is left by the padding.
    """
    check_convolution(images, weight.transpose(0, 1), bias, 1)
    check_count("padding", padding, 0)
    high, wide = (
        transposed_size(length, side, stride=stride, padding=padding, dilation=dilation, output_padding=output_padding)
        for length, side in zip(images.shape[2:], weight.shape[2:], strict=True)
    )
    tall, broad = ((side - 1) * dilation + 1 for side in weight.shape[2:])
    canvas = images.new_zeros(len(images), weight.shape[1], high + 2 * padding, wide + 2 * padding)
    for row in range(images.shape[2]):
        for column in range(images.shape[3]):
            pasted = (images[:, :, row, column, None, None, None] * weight).sum(dim=1)  # (N, C, kh, kw)
            top, left = row * stride, column * stride
            canvas[:, :, top : top + tall : dilation, left : left + broad : dilation] += pasted
    found = canvas[:, :, padding : padding + high, padding : padding + wide]
    return found if bias is None else found + bias[:, None, None]
