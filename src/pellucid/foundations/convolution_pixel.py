"""One pixel of a convolution, worked out: window, products, sum, bias, ReLU."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .convolution import MODES, check_convolution
from .convolution_sizes import Padding, padding_of, windows_along


@dataclass(frozen=True)
class Pixel:
    """How one output pixel came to be."""

    place: tuple[int, int, int]  # which output, row, column
    window: Tensor  # (C, kh, kw): the input pixels it sees, zeros where it reaches over the edge
    weight: Tensor  # (C, kh, kw): the kernel as applied, flipped in a convolution
    bias: float

    @property
    def products(self) -> Tensor:
        """Pixel times weight, (C, kh, kw)."""
        return self.window * self.weight

    @property
    def total(self) -> float:
        """The sum of the products, without the bias."""
        return float(self.products.sum())

    @property
    def excited(self) -> float:
        """The sum and the bias: what the convolution puts out."""
        return self.total + self.bias

    def __str__(self) -> str:
        """The sum written out, one line a channel, then bias and ReLU."""
        lines = []
        for window, weight in zip(self.window, self.weight, strict=True):
            pairs = zip(window.flatten().tolist(), weight.flatten().tolist(), strict=True)
            lines.append(" + ".join(f"{_bracketed(pixel)}·{_bracketed(factor)}" for pixel, factor in pairs))
        sign = "-" if self.bias < 0 else "+"
        bent = max(0.0, self.excited)
        lines[-1] += f" = {self.total:g}"
        lines.append(f"{self.total:g} {sign} {abs(self.bias):g} = {self.excited:g}, ReLU: {bent:g}")
        return "\n".join(lines)


def convolution_pixel(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    output: int = 0,
    row: int = 0,
    column: int = 0,
    stride: int = 1,
    padding: Padding = "valid",
    dilation: int = 1,
    mode: str = "correlation",
) -> Pixel:
    """What one output pixel of `convolution` sees and how it is summed.

    Args:
        image: (C, H, W), float.
        weight: (O, C, kh, kw), dtype of image.
        bias: (O,); None: zero.
        output: which of the O maps, from 0.
        row: of the output, from 0.
        column: of the output, from 0.
        stride: step between windows, at least 1.
        padding: valid, same, same_ceil, full, or zeros on each side: one number, or (height, width).
        dilation: step between the pixels a window takes, at least 1.
        mode: correlation (the kernel as it stands) or convolution (flipped on both axes).

    Raises:
        ValueError: there is no such pixel, or what `convolution` refuses.
    """
    check_convolution(image[None], weight, bias, 1)
    check_choice("mode", mode, MODES)
    size, kernel = (image.shape[1], image.shape[2]), (weight.shape[2], weight.shape[3])
    padded = F.pad(image, padding_of(padding, size, kernel, stride=stride, dilation=dilation))
    check_count("output", output, 0, len(weight) - 1)
    places = {"row": (row, 1), "column": (column, 2)}
    for name, (place, axis) in places.items():
        most = windows_along(padded.shape[axis], kernel[axis - 1], stride=stride, dilation=dilation)
        check_count(name, place, 0, most - 1)
    top, left = row * stride, column * stride
    tall, wide = ((side - 1) * dilation + 1 for side in kernel)
    turned = weight[output].flip(1, 2) if mode == "convolution" else weight[output]
    window = padded[:, top : top + tall : dilation, left : left + wide : dilation]
    return Pixel((output, row, column), window, turned, 0.0 if bias is None else float(bias[output]))


def _bracketed(value: float) -> str:
    return f"({value:g})" if value < 0 else f"{value:g}"
