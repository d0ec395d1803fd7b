"""Pooling: each window gives its largest, smallest or mean value.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86, 1998. https://doi.org/10.1109/5.726791
"""

from torch import Tensor

from pellucid.checks import check_choice, check_count

from .convolution_sizes import windows_along

KINDS = ("max", "average", "min")


def pooling(images: Tensor, *, kind: str = "max", size: int = 2, stride: int | None = None) -> Tensor:
    """One number for each window of each channel.

    Args:
        images: (N, C, H, W), float.
        kind: max, average or min.
        size: side of the window, in pixels, at least 1.
        stride: step between windows, at least 1; None: size. With 1 the image still shrinks by size - 1.

    Returns:
        (N, C, H', W'), floor((H - size) / stride) + 1 rows. The gradient of max and min reaches one pixel of each
        window only, that of average all of them alike.

    Raises:
        ValueError: the window does not fit, or an option is out of its range.
    """
    check_choice("kind", kind, KINDS)
    check_count("size", size, 1)
    step = size if stride is None else stride
    for length in images.shape[2:]:
        windows_along(length, size, stride=step)  # it fits
    windows = images.unfold(2, size, step).unfold(3, size, step).flatten(4)  # (N, C, H', W', size^2)
    if kind == "average":
        return windows.mean(dim=-1)
    return windows.max(dim=-1).values if kind == "max" else windows.min(dim=-1).values
