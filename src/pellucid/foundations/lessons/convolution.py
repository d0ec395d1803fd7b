"""Convolution: one small example with every number, and the other ways to the same result."""

import torch
from torch import Tensor

from pellucid.checks import check_choice
from pellucid.foundations.convolution import MODES
from pellucid.foundations.convolution_pixel import convolution_pixel
from pellucid.foundations.convolution_sizes import WORDS, Padding
from pellucid.foundations.lesson import Lesson
from pellucid.report import Fact

from ._convolution_sections import Example, dense, flipped, matrix, routes, sizes, strides, worked

IMAGE = "100110/010001/001100/100010/100001"
KERNELS = "10/01, 10/10, 11/00"


def convolution(
    *,
    image: str = IMAGE,
    kernels: str = KERNELS,
    bias: float = -1.0,
    stride: int = 1,
    padding: str = "valid",
    dilation: int = 1,
    mode: str = "correlation",
    row: int = 0,
    column: int = 0,
) -> Lesson:
    """A small image and its kernels, every window, product and sum; flips, spectra, matrices and sizes.

    Args:
        image: rows with / between them, of digits (100/010) or of numbers with spaces (1 -0.5 / 0 2).
        kernels: one or several with commas, each as the image is written, all of one size.
        bias: added to every sum, before ReLU.
        stride: step between windows, at least 1.
        padding: valid, same (stride 1), same_ceil, full, or zeros on each side as a number.
        dilation: step between the pixels a window takes, at least 1.
        mode: correlation (the kernel as it stands) or convolution (flipped on both axes).
        row: of the output pixel that is worked out in full, from 0.
        column: of that pixel, from 0.

    Raises:
        ValueError: an image or kernel that cannot be read, or that do not fit together.
    """
    check_choice("mode", mode, MODES)
    example = Example(
        image=_matrix("image", image)[None, None],
        kernels=_kernels(kernels)[:, None],
        bias=bias,
        stride=stride,
        padding=_padding(padding),
        dilation=dilation,
        mode=mode,
        place=(row, column),
    )
    steps = _steps(example)
    out = example.output()  # (O, H', W')
    facts = (
        Fact(
            "Weights",
            f"{example.kernels.numel()} + {len(example.kernels)}",
            f"{out.numel()} outputs share them, whatever the size of the image; a dense layer to the same outputs has "
            f"{(example.image.numel() + 1) * out.numel():,}.",
        ),
        Fact("Size", " x ".join(str(n) for n in out.shape), "⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 along each axis."),
        Fact("Four routes", "one result", "Loops, unfolding, spectra and one sparse matrix agree to rounding."),
    )
    sections = tuple(make(example) for make in (worked, strides, flipped, routes, matrix, dense, sizes))
    lead = "The same few weights at every place of an image: each output is one window times one kernel, summed."
    return Lesson("Convolution by hand", lead, steps, facts, sections)


def _steps(example: Example) -> tuple[str, ...]:
    """The image, each kernel with one pixel worked out, its sums and what ReLU leaves; then strides."""
    told = [f"the image x, {_shape(example.image[0, 0])}\n{_rows(example.image[0, 0])}"]
    bias = torch.full((len(example.kernels),), example.bias, dtype=torch.float64)
    out = example.output()
    for number, kernel in enumerate(example.kernels[:, 0]):
        pixel = convolution_pixel(
            example.image[0],
            example.kernels,
            bias,
            output=number,
            row=example.place[0],
            column=example.place[1],
            stride=example.stride,
            padding=example.padding,
            dilation=example.dilation,
            mode=example.mode,
        )
        turned = ", flipped on both axes" if example.mode == "convolution" else ""
        told.append(
            f"kernel w{number + 1}{turned}\n{_beside(kernel, 'w', pixel.weight[0], 'as applied')}\n\n"
            f"output {example.place}: window times weights, summed; plus bias; negatives become 0\n"
            f"{_beside(pixel.window[0], 'window', pixel.products[0], 'products')}\n{pixel}\n\n"
            f"all sums q{number + 1}, and z{number + 1} = ReLU(q{number + 1} {_signed(example.bias)})\n"
            f"{_beside(out[number], f'q{number + 1}', (out[number] + example.bias).relu(), f'z{number + 1}')}"
        )
    double = out[:, ::2, ::2]
    lines = [_beside(q, f"q{n}", (q + example.bias).relu(), f"z{n}") for n, q in enumerate(double, 1)]
    return (*told, f"every second window only: stride {2 * example.stride}\n" + "\n\n".join(lines))


def _kernels(text: str) -> Tensor:
    """(O, kh, kw) of kernels with commas between them."""
    found = [_matrix("kernels", one) for one in text.split(",")]
    if len({tuple(one.shape) for one in found}) > 1:
        raise ValueError(f"kernels must have one size, got {', '.join(_shape(one) for one in found)}")
    return torch.stack(found)


def _matrix(name: str, text: str) -> Tensor:
    """(H, W) of rows of digits, or of numbers with spaces between them."""
    rows = [row.split() if " " in row.strip() else list(row.strip()) for row in text.split("/")]
    try:
        found = [[float(word) for word in row] for row in rows]
    except ValueError:
        raise ValueError(f'{name} must be rows such as "10/01" or "1 -0.5 / 0 2", got {text!r}') from None
    if not found[0] or len({len(row) for row in found}) > 1:
        raise ValueError(f"{name} must have rows of one length, got {', '.join(str(len(row)) for row in found)}")
    return torch.tensor(found, dtype=torch.float64)


def _padding(text: str) -> Padding:
    return text if text in WORDS or not text.isdecimal() else int(text)


def _beside(left: Tensor, name: str, right: Tensor, other: str) -> str:
    """Two matrices as text, side by side under their names."""
    one, two = (_rows(values).splitlines() for values in (left, right))
    gap = max(len(name), *(len(line) for line in one)) + 4
    high = max(len(one), len(two))
    one, two = ([*lines, *[""] * (high - len(lines))] for lines in (one, two))
    body = [f"{here:{gap}}{there}".rstrip() for here, there in zip(one, two, strict=True)]
    return "\n".join([f"{name:{gap}}{other}", *body])


def _rows(values: Tensor) -> str:
    words = [[f"{value:g}" for value in row] for row in values.tolist()]
    width = max(len(word) for row in words for word in row)
    return "\n".join(" ".join(word.rjust(width) for word in row) for row in words)


def _shape(values: Tensor) -> str:
    return " x ".join(str(side) for side in values.shape)


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):g}"
