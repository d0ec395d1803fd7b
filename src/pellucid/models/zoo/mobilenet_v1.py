"""MobileNetV1: depthwise separable convolutions all the way.

A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.
https://arxiv.org/abs/1704.04861, table 1. Padding is TensorFlow's SAME and batch norm's epsilon 1e-3, as in the
authors' released weights.
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range

CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def mobilenet_v1(*, classes: int = 1000, width: float = 1.0, channels: int = 3) -> nn.Module:
    """MobileNetV1; any input size of at least 32 x 32 makes sense.

    Args:
        classes: number of outputs.
        width: multiplies every channel count (the paper's alpha), in [0.05, 4].
        channels: of the images.
    """
    check_range("width", width, 0.05, 4)
    return _MobileNetV1(classes, width, channels)


class _MobileNetV1(nn.Module):
    def __init__(self, classes: int, width: float, channels: int) -> None:
        super().__init__()
        counts = [max(1, int(count * width)) for count in (32, *CHANNELS)]
        self.stem = _block(channels, counts[0], kernel=3, stride=2)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    OrderedDict(
                        dw=_block(before, before, kernel=3, stride=stride, groups=before),
                        pw=_block(before, after, kernel=1),
                    )
                )
                for before, after, stride in zip(counts, counts[1:], STRIDES, strict=False)
            )
        )
        self.classifier = nn.Linear(counts[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.blocks(self.stem(images))  # (N, 1024 a, H / 32, W / 32)
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


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


INPUT = {"size": 224, "resize": 256, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""What the authors' weights were trained on."""
