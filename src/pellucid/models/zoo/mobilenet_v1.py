"""MobileNetV1: depthwise separable convolutions all the way.

A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.
https://arxiv.org/abs/1704.04861, table 1. Padding is TensorFlow's SAME and batch norm's epsilon 1e-3, as in the
authors' released weights. The last separable convolution has stride 1, for the stride 2 that the table prints there
contradicts the sizes it prints.

A convolution of K x K from M to N channels on F x F positions costs K^2 M N F^2 multiply-adds; a separable one costs
K^2 M F^2 for each channel by itself and M N F^2 for mixing them, which is 1/N + 1/K^2 of that.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import GlobalAveragePool, initialise

from ._layout import takes_small

CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)

INPUT = {"size": 224, "resize": 256, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""What the authors' weights were trained on."""


def mobilenet_v1(*, classes: int = 1000, size: int = 224, channels: int = 3, width: float = 1.0) -> nn.Module:
    """MobileNetV1: a stem and 13 separable convolutions, a mean over the image, one linear layer.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the stem keeps it.
        channels: of the images.
        width: multiplies every channel count (the paper's alpha), in [0.05, 4].
    """
    check_range("width", width, 0.05, 4)
    return MobileNetV1(classes, width, channels, stem_stride=1 if takes_small("mobilenet_v1", size) else 2)


class MobileNetV1(nn.Module):
    """The net.

    Args:
        classes: number of outputs.
        width: multiplies every channel count.
        channels: of the images.
        stem_stride: 2, or 1 for small images.
    """

    stages = ("blocks.0", "blocks.2", "blocks.4", "blocks.10", "blocks.12")

    def __init__(self, classes: int, width: float, channels: int, *, stem_stride: int = 2) -> None:
        super().__init__()
        counts = [max(1, int(count * width)) for count in (32, *CHANNELS)]
        self.stem = _block(channels, counts[0], kernel=3, stride=stem_stride)
        self.blocks = nn.Sequential(
            *(
                DepthwiseSeparable(before, after, stride=stride)
                for before, after, stride in zip(counts, counts[1:], STRIDES, strict=False)
            )
        )
        self.gap = GlobalAveragePool()
        self.classifier = nn.Linear(counts[-1], classes)
        initialise(self, self.classifier)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        features = self.gap(self.blocks(self.stem(images)))  # (N, 1024 a)
        logits: Tensor = self.classifier(features)
        return logits


class DepthwiseSeparable(nn.Sequential):
    """A 3 x 3 convolution of each channel by itself, then 1 x 1 across channels, each with batch norm and ReLU6.

    Args:
        before: channels of the input.
        after: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, before: int, after: int, *, stride: int = 1) -> None:
        super().__init__(
            OrderedDict(
                dw=_block(before, before, kernel=3, stride=stride, groups=before),
                pw=_block(before, after, kernel=1),
            )
        )


def _block(before: int, after: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv=_SameConv2d(before, after, kernel, stride=stride, groups=groups, bias=False),
            bn=nn.BatchNorm2d(after, eps=1e-3),
            relu=nn.ReLU6(inplace=True),
        )
    )


class _SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: ceil(n / stride) outputs, an odd pixel goes right and below."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if kernel == 1:
            return super().forward(input)
        total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in input.shape[-2:]]
        if total[0] % 2 == total[1] % 2 == 0:
            return F.conv2d(
                input, self.weight, self.bias, self.stride, (total[0] // 2, total[1] // 2), self.dilation, self.groups
            )
        before = [n // 2 for n in total]
        padded = F.pad(input, (before[1], total[1] - before[1], before[0], total[0] - before[0]))
        return super().forward(padded)
