"""The parts of the lesson on convolution, each a section with its figure or table."""

from dataclasses import dataclass, replace
from time import perf_counter

import torch
from markupsafe import Markup
from torch import Tensor, nn

from pellucid import report
from pellucid.foundations.convolution import ROUTES, convolution
from pellucid.foundations.convolution_matrix import convolution_matrix
from pellucid.foundations.convolution_sizes import (
    Padding,
    convolution_weights,
    dense_weights,
    output_size,
    padding_of,
    transposed_size,
)
from pellucid.foundations.dense_as_convolution import dense_as_convolution
from pellucid.foundations.pooling import pooling
from pellucid.report import Matrix, Section

TOLD = {
    "loops": "window by window: cut out, multiply, sum",
    "unfold": "all windows as columns of one matrix product",
    "fourier": "spectra of n + k − 1 frequencies multiplied, the kernel's conjugated; then cropped",
    "matrix": "one sparse matrix of shared weights times the image as a vector",
}
MOST = 4
"""Kernels drawn; the steps have all."""


@dataclass(frozen=True)
class Example:
    """What is convolved, and how."""

    image: Tensor  # (1, 1, H, W), float64
    kernels: Tensor  # (O, 1, kh, kw)
    bias: float
    stride: int
    padding: Padding
    dilation: int
    mode: str
    place: tuple[int, int]  # row and column of the output pixel that is worked out

    def output(self, route: str = "loops") -> Tensor:
        """The sums without the bias, (O, H', W')."""
        return convolution(
            self.image,
            self.kernels,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            mode=self.mode,
            route=route,
        )[0]

    def seen(self) -> Tensor:
        """Which pixels of the image that output sees, (H, W), bool."""
        row, column = self.place
        size, kernel = self.image.shape[2:], self.kernels.shape[2:]
        left, _, top, _ = padding_of(
            self.padding, (size[0], size[1]), (kernel[0], kernel[1]), stride=self.stride, dilation=self.dilation
        )
        marked = torch.zeros(size[0], size[1], dtype=torch.bool)
        for down in range(kernel[0]):
            for across in range(kernel[1]):
                high, wide = down * self.dilation - top, across * self.dilation - left
                high, wide = high + row * self.stride, wide + column * self.stride
                if 0 <= high < size[0] and 0 <= wide < size[1]:
                    marked[high, wide] = True
        return marked


def worked(example: Example) -> Section:
    """Image, kernel, sums, and what is left of them."""
    out, drawn = example.output(), []
    place = torch.zeros_like(out[0], dtype=torch.bool)
    place[example.place] = True
    for number, kernel in enumerate(example.kernels[:MOST, 0], 1):
        left = (out[number - 1] + example.bias).relu()
        applied = kernel.flip(0, 1) if example.mode == "convolution" else kernel
        shown = [
            Matrix("image x", example.image[0, 0], marked=example.seen()),
            Matrix(f"kernel w{number}", applied, sign="∗"),
            Matrix(f"sums q{number}", out[number - 1], sign="=", marked=place),
            Matrix(f"z{number}", left, sign="→", marked=place),
        ]
        caption = f"z{number} = ReLU(q{number} {'−' if example.bias < 0 else '+'} {abs(example.bias):g})"
        drawn.append((report.matrices(shown, f"The image, kernel {number}, its sums and what ReLU leaves"), caption))
    lead = "The framed pixels of the image, times the kernel, summed, are the framed output; then bias and ReLU."
    return Section("example", "The worked example", lead, report.drawings(drawn))


def strides(example: Example) -> Section:
    """Every second output, and pooling."""
    out = example.output()[0]
    kept = torch.zeros_like(out, dtype=torch.bool)
    kept[::2, ::2] = True
    first = report.matrices(
        [Matrix("sums q1", out, marked=kept), Matrix("stride twice as long", out[::2, ::2], sign="→")],
        "A longer stride keeps every second output",
    )
    drawn = [(first, "A stride twice as long keeps every second output of each row and column.")]
    size = min(2, *out.shape)
    pooled = [(kind, pooling(out[None, None], kind=kind, size=size)[0, 0]) for kind in ("max", "average", "min")]
    signs = ("→", "or", "or")
    made = [Matrix(kind, values, sign=sign) for (kind, values), sign in zip(pooled, signs, strict=True)]
    caption = f"Pooling by windows of {size} x {size}: the gradient of max and min reaches one pixel of each."
    drawn.append((report.matrices([Matrix("sums q1", out), *made], "Pooling by maximum, average and minimum"), caption))
    return Section("strides", "Strides and pooling", "Two ways to a smaller map.", report.drawings(drawn))


def flipped(example: Example) -> Section:
    """The same kernel as it stands and turned."""
    kernel = example.kernels[-1]
    both = [replace(example, kernels=kernel[None], mode=mode).output()[0] for mode in ("correlation", "convolution")]
    drawn = [
        (
            report.matrices(
                [Matrix("image x", example.image[0, 0]), Matrix("w", shown, sign="∗"), Matrix(name, values, sign="=")],
                f"The last kernel, {name}",
            ),
            caption,
        )
        for shown, name, values, caption in (
            (kernel[0], "correlation", both[0], "As it stands: what networks compute and call convolution."),
            (kernel[0].flip(0, 1), "convolution", both[1], "Flipped on both axes: full convolution commutes."),
        )
    ]
    lead = "A learned kernel does not mind which; formulas do."
    return Section("flipped", "Flipped or not", lead, report.drawings(drawn))


def routes(example: Example) -> Section:
    """The four ways, how far they differ and how long they take; the spectra."""
    expected, rows = example.output(), []
    for route in ROUTES:
        begun = perf_counter()
        found = example.output(route)
        took = perf_counter() - begun
        rows.append((route, TOLD[route], f"{float((found - expected).abs().max()):.1g}", f"{1e3 * took:.2f}"))
    head = ("route", "what it does", "largest difference", "ms here, once")
    table = report.table(head, rows, "Four routes to the same numbers", numbers=(2, 3))
    height, width = example.image.shape[2:]
    tall, wide = ((side - 1) * example.dilation + 1 for side in example.kernels.shape[2:])
    spread = torch.zeros(tall, wide, dtype=torch.float64)
    spread[:: example.dilation, :: example.dilation] = example.kernels[0, 0]
    whole = (height + tall - 1, width + wide - 1)
    spectra = [torch.fft.fft2(values, s=whole) for values in (example.image[0, 0], spread)]
    parts = [torch.fft.fftshift(one.abs()) for one in (*spectra, spectra[0] * spectra[1].conj())]
    shown = [
        Matrix("image", parts[0] / parts[0].max().clamp(min=1e-12)),
        Matrix("kernel", parts[1] / parts[1].max().clamp(min=1e-12), sign="·"),
        Matrix("product", parts[2] / parts[2].max().clamp(min=1e-12), sign="="),
    ]
    drawn = report.matrices(
        shown, "Magnitudes of the spectra of the image, the first kernel and their product", numbers=False
    )
    caption = (
        f"Magnitudes of the spectra, {whole[0]} x {whole[1]} frequencies, zero in the middle, each to its own scale."
    )
    lead = "A convolution is a product of spectra, and a product with one matrix."
    return Section("routes", "Four routes", lead, table + report.drawings([(drawn, caption)]))


def matrix(example: Example) -> Section:
    """The sparse matrix of the first kernel."""
    size, kernel = example.image.shape[2:], example.kernels[:1]
    sides = padding_of(
        example.padding,
        (size[0], size[1]),
        (kernel.shape[2], kernel.shape[3]),
        stride=example.stride,
        dilation=example.dilation,
    )
    turned = kernel.flip(2, 3) if example.mode == "convolution" else kernel
    numbered = torch.arange(1.0, turned.numel() + 1, dtype=torch.float64).view_as(turned)
    shared = convolution_matrix(
        numbered, (size[0], size[1]), sides, stride=example.stride, dilation=example.dilation
    ).values
    rows, columns = shared.shape
    told = (
        f"{rows} x {columns} entries, of which {shared._nnz()} are weights: {turned.numel()} different ones, each in "
        "its own tint. Its transpose takes maps back to images: the transposed convolution, and the input's gradient."
    )
    if rows * columns > 6000:
        return Section("matrix", "One sparse matrix", told, Markup(""))
    drawn = report.matrices([Matrix("M", shared.to_dense())], "The matrix of the first kernel", numbers=False)
    lead = "A row for each output, a column for each pixel; the same few weights in every row, shifted."
    return Section("matrix", "One sparse matrix", lead, report.drawings([(drawn, told)]))


def dense(example: Example) -> Section:
    """A dense layer read as a convolution."""
    height, width = example.image.shape[2:]
    empty = nn.Linear(height * width, 3, dtype=torch.float64, device="meta")  # so that no random numbers are drawn
    layer = empty.to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, layer.weight.numel(), dtype=torch.float64).sin().view_as(layer.weight))
        layer.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    same = dense_as_convolution(layer, (height, width))
    rows = []
    for more in (0, 1, 3):
        larger = nn.functional.pad(example.image, (0, more, 0, more))
        maps = same(larger)
        apart = (maps[0, :, 0, 0] - layer(example.image.flatten(1))[0]).abs().max().item()
        rows.append((f"{height + more} x {width + more}", " x ".join(str(n) for n in maps.shape[1:]), f"{apart:.1g}"))
    head = ("image", "answers", "first place, difference to the dense layer")
    table = report.table(head, rows, "A dense layer of three classes, read as a convolution", numbers=(2,))
    lead = (
        f"A dense layer over {height} x {width} pixels is a convolution with one window as large as the image. On "
        "larger images it gives a map of answers; VGG-16 gives (⌊H/32⌋ − 6) x (⌊W/32⌋ − 6) of them."
    )
    return Section("dense", "Dense layers are convolutions", lead, table)


def sizes(_example: Example) -> Section:
    """What comes out of some layers, and what they cost."""
    cases = [(32, 3, 1, 0, 1), (32, 3, 1, 1, 1), (32, 5, 1, 2, 1), (32, 3, 2, 1, 1), (32, 3, 1, 2, 2), (33, 2, 2, 0, 1)]
    rows = []
    for n, k, s, p, d in [*cases, (224, 7, 2, 3, 1)]:
        made = output_size(n, k, stride=s, padding=p, dilation=d)
        back = transposed_size(made, k, stride=s, padding=p, dilation=d)
        few, many = convolution_weights(3, 16, k), dense_weights((3, n, n), (16, made, made))
        rows.append((n, k, s, p, d, made, back, f"{few:,}", f"{many:,}", f"{many // few:,}"))
    head = ("n", "kernel", "stride", "padding", "dilation", "out", "transposed back", "weights", "dense", "times")
    table = report.table(
        head,
        rows,
        "Sizes along one axis, and the weights from 3 channels to 16 beside a dense layer's",
        numbers=range(10),
    )
    lead = (
        "⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 outputs, and back (n − 1)s − 2p + d(k − 1) + 1, which loses what the floor "
        "cut off. The weights do not depend on the image."
    )
    return Section("sizes", "Sizes and weights", lead, table)
