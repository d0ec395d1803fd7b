"""GoogLeNet: inception blocks, which look at four scales side by side, and two auxiliary heads.

C. Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, table 1 and section 5. https://arxiv.org/abs/1409.4842.
The auxiliary heads bring the gradient to the middle of the net; in training its answer is (logits, from 4a, from 4d),
to be learned with the weights 1, 0.3 and 0.3. Batch norm, where there is one: S. Ioffe, C. Szegedy, ICML 2015,
https://arxiv.org/abs/1502.03167.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import ConvBNAct, GlobalAveragePool, initialise

from ._layout import check_strides, takes_small
from .alexnet import response_norm

INPUT = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""What the weights that are about (torchvision's, first TensorFlow's) were trained on."""

TORCHVISION = {
    r"^conv": "stem.conv",
    r"\.branch1\.": ".ones.",
    r"\.branch2\.": ".threes.",
    r"\.branch3\.": ".fives.",
    r"\.branch4\.": ".pooled.",
    r"^fc\.": "head.",
}
"""What torchvision's names are called here."""

AUX_WEIGHT = 0.3
"""Weight of each auxiliary head's loss; the main head's is 1."""

WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Channels of each inception block: 1 x 1; 3 x 3 reduce, 3 x 3; 5 x 5 reduce, 5 x 5; behind the pool."""


def googlenet(
    *, classes: int = 1000, size: int = 224, channels: int = 3, aux: bool = True, dropout: float = 0.4
) -> nn.Module:
    """GoogLeNet as it was published: without batch norm; for small images with it, and with a stem of stride 1.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the stem is one 3 x 3 convolution of stride 1.
        channels: of the images.
        aux: whether there are auxiliary heads, which answer in training only.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    is_small = takes_small("googlenet", size)
    if is_small:
        check_strides("googlenet", size, {"pool3": 2, "pool4": 4})
    return GoogLeNet(classes=classes, channels=channels, aux=aux, dropout=dropout, is_small=is_small, has_norm=is_small)


def googlenet_bn(
    *, classes: int = 1000, size: int = 224, channels: int = 3, aux: bool = True, dropout: float = 0.2
) -> nn.Module:
    """GoogLeNet as torchvision has it: batch norm, and 3 x 3 windows where the paper's are 5 x 5.

    Args:
        classes: number of outputs.
        size: side of the images, above 64.
        channels: of the images.
        aux: whether there are auxiliary heads, which answer in training only.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    takes_small("googlenet_bn", size, layouts=(224,))
    return GoogLeNet(classes=classes, channels=channels, aux=aux, dropout=dropout, has_norm=True, widest=3)


class GoogLeNet(nn.Module):
    """A stem, nine inception blocks with two pools between them, global average pooling, dropout, one linear layer.

    Args:
        classes: number of outputs.
        channels: of the images.
        aux: whether there are auxiliary heads.
        dropout: of the last features, in training.
        has_norm: whether a batch norm follows each convolution.
        is_small: whether the stem is one 3 x 3 convolution, instead of three and two pools that divide by 8.
        widest: window of an inception's third branch: 5, or 3 as torchvision has it, whose last pool is 2 x 2 then.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        aux: bool,
        dropout: float,
        has_norm: bool,
        is_small: bool = False,
        widest: int = 5,
    ) -> None:
        super().__init__()
        check_range("dropout", dropout, 0, 0.95)
        blocks = {
            name: Inception(before, widths, has_norm=has_norm, widest=widest)
            for (name, widths), before in zip(WIDTHS.items(), _inputs(), strict=True)
        }
        self.stem = _stem(channels, has_norm=has_norm, is_small=is_small)
        self.inception3a, self.inception3b = blocks["3a"], blocks["3b"]  # 256, 480 channels
        self.pool3 = _pool()
        self.inception4a, self.inception4b, self.inception4c = blocks["4a"], blocks["4b"], blocks["4c"]  # 512 each
        self.inception4d, self.inception4e = blocks["4d"], blocks["4e"]  # 528, 832
        self.pool4 = _pool() if widest == 5 else nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a, self.inception5b = blocks["5a"], blocks["5b"]  # 832, 1024
        self.aux1 = InceptionAux(512, classes, has_norm=has_norm) if aux else None
        self.aux2 = InceptionAux(528, classes, has_norm=has_norm) if aux else None
        self.gap = GlobalAveragePool()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(1024, classes)
        self.stages = (*(() if is_small else ("stem.conv1", "stem.conv3")), "inception3b", "inception4e", "inception5b")
        heads = [self.head, *(module.fc2 for module in (self.aux1, self.aux2) if module is not None)]
        initialise(self, *heads, is_forward=not has_norm)  # its reductions to a tenth of the channels would swell else

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Logits (N, K) of normalised images (N, C, H, W); in training, with auxiliary heads, three of them."""
        maps = self.inception3b(self.inception3a(self.stem(images)))
        first = self.inception4a(self.pool3(maps))  # (N, 512, H / 16, W / 16)
        second = self.inception4d(self.inception4c(self.inception4b(first)))  # (N, 528, H / 16, W / 16)
        maps = self.inception5b(self.inception5a(self.pool4(self.inception4e(second))))  # (N, 1024, H / 32, W / 32)
        logits: Tensor = self.head(self.dropout(self.gap(maps)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return logits, self.aux1(first), self.aux2(second)
        return logits


class Inception(nn.Module):
    """Four branches on the same maps, side by side: 1 x 1, 3 x 3 and 5 x 5 convolutions, and a pool.

    Args:
        before: channels in.
        widths: channels of 1 x 1; 3 x 3 reduce, 3 x 3; 5 x 5 reduce, 5 x 5; and of the 1 x 1 behind the pool.
        has_norm: whether a batch norm follows each convolution.
        widest: window of the third branch.
    """

    def __init__(
        self, before: int, widths: tuple[int, int, int, int, int, int], *, has_norm: bool = False, widest: int = 5
    ) -> None:
        super().__init__()
        ones, reduce3, threes, reduce5, fives, pooled = widths
        self.ones = _conv(before, ones, has_norm=has_norm)
        self.threes = nn.Sequential(
            OrderedDict(
                reduce=_conv(before, reduce3, has_norm=has_norm),
                wide=_conv(reduce3, threes, kernel=3, has_norm=has_norm),
            )
        )
        self.fives = nn.Sequential(
            OrderedDict(
                reduce=_conv(before, reduce5, has_norm=has_norm),
                wide=_conv(reduce5, fives, kernel=widest, has_norm=has_norm),
            )
        )
        self.pooled = nn.Sequential(
            OrderedDict(
                pool=nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
                project=_conv(before, pooled, has_norm=has_norm),
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) becomes (N, sum of the four branches, h, w)."""
        return torch.cat([self.ones(maps), self.threes(maps), self.fives(maps), self.pooled(maps)], dim=1)


class InceptionAux(nn.Module):
    """Auxiliary head: average pool to 4 x 4, a 1 x 1 convolution, two fully connected layers with dropout between.

    Args:
        before: channels in.
        classes: number of outputs.
        has_norm: whether a batch norm follows the convolution.
    """

    def __init__(self, before: int, classes: int, *, has_norm: bool = False) -> None:
        super().__init__()
        self.has_norm = has_norm
        self.conv = _conv(before, 128, has_norm=has_norm)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.act = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (N, K) of maps (N, before, h, w)."""
        if maps.shape[-2:] == (14, 14) and not self.has_norm:
            pooled = F.avg_pool2d(maps, 5, stride=3)  # the paper's, at 224
        else:
            pooled = F.adaptive_avg_pool2d(maps, 4)
        features = self.act(self.fc1(self.conv(pooled).flatten(1)))  # (N, 1024)
        logits: Tensor = self.fc2(self.dropout(features))
        return logits


def _inputs() -> list[int]:
    """Channels into each inception block: those that the block before it puts out."""
    out = [ones + threes + fives + pooled for ones, _, threes, _, fives, pooled in WIDTHS.values()]
    return [192, *out[:-1]]


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _conv(before: int, after: int, *, kernel: int = 1, stride: int = 1, has_norm: bool) -> nn.Sequential:
    """Convolution and ReLU, with a batch norm between them or else a bias."""
    if has_norm:
        return ConvBNAct(before, after, kernel=kernel, stride=stride, epsilon=1e-3)
    conv = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU(inplace=True)))


def _stem(channels: int, *, has_norm: bool, is_small: bool) -> nn.Sequential:
    """One convolution, or three with two pools, which divide the side by 8; (N, 192, h, w) comes out."""
    if is_small:
        return nn.Sequential(OrderedDict(conv1=_conv(channels, 192, kernel=3, has_norm=has_norm)))
    parts: dict[str, nn.Module] = {
        "conv1": _conv(channels, 64, kernel=7, stride=2, has_norm=has_norm),
        "pool1": _pool(),
        "norm1": response_norm(),
        "conv2": _conv(64, 64, has_norm=has_norm),
        "conv3": _conv(64, 192, kernel=3, has_norm=has_norm),
        "norm2": response_norm(),
        "pool2": _pool(),
    }
    return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if not (has_norm and "norm" in name)))
