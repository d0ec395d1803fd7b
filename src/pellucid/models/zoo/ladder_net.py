"""Ladder net: three convolutions and two linear layers, to which the usual improvements are added one by one.

In the manner of A. Krizhevsky's nets for CIFAR-10, https://code.google.com/archive/p/cuda-convnet/. What can be added:
dropout, G. Hinton et al., https://arxiv.org/abs/1207.0580; batch norm, S. Ioffe, C. Szegedy, ICML 2015,
https://arxiv.org/abs/1502.03167.

An addition changes no other layer's first weights: with equal seeds they are the same numbers.
"""

import math
from collections import OrderedDict

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import initialise
from pellucid.models.prepared import Prepared

from ._layout import takes_small

SIZES = range(8, 65)
"""Sides it takes without a word; up to 32, and down to 25, it has the same number of weights."""


def ladder_net(
    *,
    classes: int = 10,
    size: int = 32,
    channels: int = 3,
    first: str = "none",
    crop: int = 0,
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> nn.Module:
    """The net of the CIFAR-10 ladder: 1,191,170 weights for ten classes of 32 x 32 colour images.

    Args:
        classes: number of outputs.
        size: side of the images, 8 to 64.
        channels: of the images.
        first: what is done to the images first: none, mean_image, per_image or zca; fitted on training images.
        crop: side of the middle that is looked at, where images are larger; 0 looks at all of it.
        dropout: share of the 1000 features dropped in training, in [0, 1).
        batch_norm: a batch norm behind each convolution (320 weights more).
    """
    takes_small("ladder_net", size, layouts=(32,))
    check_range("size", size, SIZES[0])
    check_range("crop", crop, 0, size)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be in [0, 1), got {dropout}")
    return LadderNet(classes, channels, size=crop or size, first=first, dropout=dropout, batch_norm=batch_norm)


class LadderNet(nn.Module):
    """The net, its layers named as they follow each other.

    Args:
        classes: number of outputs.
        channels: of the images.
        size: side of what is looked at; of larger images the middle.
        first: see `Prepared`.
        dropout: before the last layer.
        batch_norm: behind each convolution, before its ReLU.
    """

    stages = ("conv1", "conv2", "conv3")

    def __init__(self, classes: int, channels: int, *, size: int, first: str, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.size = size
        self.first = Prepared(first, (channels, size, size))
        self.conv1 = _layer(channels, 32, batch_norm)
        self.pool1 = _pool()
        self.conv2 = _layer(32, 64, batch_norm)
        self.pool2 = _pool()
        self.conv3 = _layer(64, 64, batch_norm)
        self.pool3 = _pool()
        self.fc4 = nn.Sequential(nn.Linear(64 * math.ceil(size / 8) ** 2, 1000), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(1000, classes)
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        images = self.first(middle(images, self.size))
        features = self.pool1(self.conv1(images))  # (N, 32, 16, 16)
        features = self.pool2(self.conv2(features))  # (N, 64, 8, 8)
        features = self.pool3(self.conv3(features))  # (N, 64, 4, 4)
        logits: Tensor = self.head(self.dropout(self.fc4(features.flatten(1))))
        return logits


def middle(images: Tensor, side: int) -> Tensor:
    """The middle (N, C, side, side) of images (N, C, H, W)."""
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    return images[..., top : top + side, left : left + side]


def _layer(before: int, after: int, batch_norm: bool) -> nn.Sequential:
    """Convolution that keeps the side, batch norm if asked for, ReLU; the bias stays, so that a norm only adds."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=nn.Conv2d(before, after, 5, padding=2))
    if batch_norm:
        parts["bn"] = nn.BatchNorm2d(after)
    parts["act"] = nn.ReLU()
    return nn.Sequential(parts)


def _pool() -> nn.Module:
    """Half the side, rounded up: 28 x 28 ends in 4 x 4 as 32 x 32 does."""
    return nn.MaxPool2d(2, ceil_mode=True)
