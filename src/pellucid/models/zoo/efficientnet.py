"""EfficientNet: inverted bottlenecks with squeeze and excitation; depth, width and image size grow together.

M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019.
https://arxiv.org/abs/1905.11946, table 1 and section 3.3. The blocks are those of M. Sandler et al., "MobileNetV2",
CVPR 2018, https://arxiv.org/abs/1801.04381.

Compound scaling: depth 1.2^phi, width 1.1^phi, image side 1.15^phi; each unit of phi costs about twice as much, for
cost grows with depth, and with the squares of width and side. Padding is symmetric, and batch norm's epsilon 1e-5 (1e-3
in B7), as in the weights that torchvision publishes.
"""

import math

import torch
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import ConvBNAct, GlobalAveragePool, SqueezeExcite, initialise

from ._layout import takes_small

TORCHVISION = {
    r"^features\.0\.": "stem.",
    r"^features\.8\.": "last.",
    r"^features\.(\d)\.": r"blocks.stage\1.",
    r"^(blocks\.stage1\.\d+)\.block\.0\.": r"\1.depthwise.",  # the first stage does not widen
    r"^(blocks\.stage1\.\d+)\.block\.1\.": r"\1.excite.",
    r"^(blocks\.stage1\.\d+)\.block\.2\.": r"\1.project.",
    r"\.block\.0\.": ".expand.",
    r"\.block\.1\.": ".depthwise.",
    r"\.block\.2\.": ".excite.",
    r"\.block\.3\.": ".project.",
    r"\.fc1\.": ".reduce.",
    r"\.fc2\.": ".restore.",
    r"^classifier\.1\.": "head.",
}

STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Of B0's stages: expansion, kernel, channels, number of blocks, stride of the first."""


def efficientnet_b0(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.2) -> nn.Module:
    """EfficientNet-B0, the net that is scaled; up to 64 x 64 its stem keeps the side.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=1.0, depth=1.0)


def efficientnet_b1(*, classes: int = 1000, size: int = 240, channels: int = 3, dropout: float = 0.2) -> nn.Module:
    """EfficientNet-B1: depth 1.1.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=1.0, depth=1.1)


def efficientnet_b2(*, classes: int = 1000, size: int = 260, channels: int = 3, dropout: float = 0.3) -> nn.Module:
    """EfficientNet-B2: width 1.1, depth 1.2.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=1.1, depth=1.2)


def efficientnet_b3(*, classes: int = 1000, size: int = 300, channels: int = 3, dropout: float = 0.3) -> nn.Module:
    """EfficientNet-B3: width 1.2, depth 1.4.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=1.2, depth=1.4)


def efficientnet_b4(*, classes: int = 1000, size: int = 380, channels: int = 3, dropout: float = 0.4) -> nn.Module:
    """EfficientNet-B4: width 1.4, depth 1.8.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=1.4, depth=1.8)


def efficientnet_b7(*, classes: int = 1000, size: int = 600, channels: int = 3, dropout: float = 0.5) -> nn.Module:
    """EfficientNet-B7: width 2, depth 3.1.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64 the stem keeps it.
        channels: of the images.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    return _scaled(classes, size, channels, dropout, width=2.0, depth=3.1, epsilon=1e-3)


class EfficientNet(nn.Module):
    """A stem, seven stages of inverted bottlenecks, a 1 x 1 convolution, a mean over the image, a head.

    Args:
        classes: number of outputs.
        channels: of the images.
        width: multiplies the channels, which are then rounded to a multiple of 8.
        depth: multiplies the blocks of a stage, rounded up.
        stem_stride: 2, or 1 for small images.
        dropout: share of the last features dropped in training.
        most_dropped: share of images that skip the last block in training; the first is never skipped.
        epsilon: of batch norm.
    """

    stages = (*(f"blocks.stage{number}" for number in (1, 2, 3, 5)), "last")

    def __init__(
        self,
        classes: int,
        channels: int,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        stem_stride: int = 2,
        dropout: float = 0.2,
        most_dropped: float = 0.2,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        counts = [math.ceil(depth * count) for _, _, _, count, _ in STAGES]
        before, done = rounded(32 * width), 0
        self.stem = ConvBNAct(channels, before, kernel=3, stride=stem_stride, activation="silu", epsilon=epsilon)
        self.blocks = nn.Sequential()
        for number, ((expand, kernel, after, _, stride), count) in enumerate(zip(STAGES, counts, strict=True), 1):
            stage = nn.Sequential()
            for place in range(count):
                stage.append(
                    MBConv(
                        before,
                        rounded(after * width),
                        expand=expand,
                        kernel=kernel,
                        stride=1 if place else stride,
                        dropped=most_dropped * done / sum(counts),
                        epsilon=epsilon,
                    )
                )
                before, done = rounded(after * width), done + 1
            self.blocks.add_module(f"stage{number}", stage)
        self.last = ConvBNAct(before, 4 * before, kernel=1, activation="silu", epsilon=epsilon)
        self.gap = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4 * before, classes)
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        maps = self.last(self.blocks(self.stem(images)))
        logits: Tensor = self.head(self.dropout(self.gap(maps)))
        return logits


class MBConv(nn.Module):
    """Widen by 1 x 1, convolve each channel by itself, weigh the channels, narrow by 1 x 1; add the input if it fits.

    Args:
        before: channels of the input.
        after: channels of the output.
        expand: the inside has so many times the input's channels; 1 leaves the widening out.
        kernel: side of the convolution, odd.
        stride: of it.
        dropped: share of images for which only the input is passed on in training.
        epsilon: of batch norm.
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        expand: int = 6,
        kernel: int = 3,
        stride: int = 1,
        dropped: float = 0.0,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        inner = expand * before
        self.expand = (
            ConvBNAct(before, inner, kernel=1, activation="silu", epsilon=epsilon) if expand > 1 else nn.Identity()
        )
        self.depthwise = ConvBNAct(
            inner, inner, kernel=kernel, stride=stride, groups=inner, activation="silu", epsilon=epsilon
        )
        self.excite = SqueezeExcite(inner, squeezed=max(1, before // 4), activation="silu")
        self.project = ConvBNAct(inner, after, kernel=1, activation="none", epsilon=epsilon)
        self.skips = StochasticDepth(dropped) if stride == 1 and before == after else None

    def forward(self, maps: Tensor) -> Tensor:
        """(N, after, h / stride, w / stride)."""
        branch: Tensor = self.project(self.excite(self.depthwise(self.expand(maps))))
        return branch if self.skips is None else maps + self.skips(branch)


class StochasticDepth(nn.Module):
    """In training sets a share of the images' branches to zero, and enlarges the others so that the mean stays.

    G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016.
    https://arxiv.org/abs/1603.09382
    """

    def __init__(self, dropped: float) -> None:
        super().__init__()
        check_range("dropped", dropped, 0, 0.95)
        self.dropped = dropped

    def forward(self, branch: Tensor) -> Tensor:
        """Of the same shape."""
        if not self.training or not self.dropped:
            return branch
        kept = torch.rand(len(branch), 1, 1, 1, device=branch.device) >= self.dropped  # (N, 1, 1, 1)
        return branch * kept / (1 - self.dropped)


def rounded(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never more than a tenth below what was asked."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _scaled(
    classes: int, size: int, channels: int, dropout: float, *, width: float, depth: float, epsilon: float = 1e-5
) -> EfficientNet:
    is_small = takes_small("EfficientNet", size)
    check_range("dropout", dropout, 0, 0.95)
    return EfficientNet(
        classes,
        channels,
        width=width,
        depth=depth,
        stem_stride=1 if is_small else 2,
        dropout=dropout,
        epsilon=epsilon,
    )
