"""DenseNet: every layer of a block sees the maps of all layers before it, side by side.

G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.
https://arxiv.org/abs/1608.06993, table 1 and section 4.

The connections stay within a block; between blocks a transition halves the side and, with bottlenecks (BC), the
channels. Every convolution comes after its batch norm and ReLU.
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import ConvBNAct, GlobalAveragePool, initialise

from ._layout import check_strides, takes_small

TORCHVISION = {
    r"^features\.conv0\.": "stem.conv.",
    r"^features\.norm0\.": "stem.bn.",
    r"^features\.norm5\.": "last.bn.",
    r"^features\.dense(block\d)\.dense(layer\d+)\.": r"blocks.\1.\2.",
    r"^features\.transition": "blocks.transition",
    r"\.norm(\d?)\.": r".bn\1.",
    r"^classifier\.": "head.",
}


def densenet121(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-121: growth 32, blocks of 6, 12, 24 and 16 layers.

    Args:
        classes: number of outputs.
        size: side of the images, more than 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_large("densenet121", size)
    return DenseNet((6, 12, 24, 16), 32, classes=classes, channels=channels, is_small=False, dropout=dropout)


def densenet169(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-169: growth 32, blocks of 6, 12, 32 and 32 layers.

    Args:
        classes: number of outputs.
        size: side of the images, more than 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_large("densenet169", size)
    return DenseNet((6, 12, 32, 32), 32, classes=classes, channels=channels, is_small=False, dropout=dropout)


def densenet201(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-201: growth 32, blocks of 6, 12, 48 and 32 layers.

    Args:
        classes: number of outputs.
        size: side of the images, more than 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_large("densenet201", size)
    return DenseNet((6, 12, 48, 32), 32, classes=classes, channels=channels, is_small=False, dropout=dropout)


def densenet161(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-161: growth 48, blocks of 6, 12, 36 and 24 layers.

    Args:
        classes: number of outputs.
        size: side of the images, more than 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_large("densenet161", size)
    return DenseNet((6, 12, 36, 24), 48, classes=classes, channels=channels, is_small=False, dropout=dropout)


def densenet_bc_100_12(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-BC for CIFAR, 100 weighted layers, growth 12: 769,162 weights.

    Args:
        classes: number of outputs.
        size: side of the images, 4 to 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_small("densenet_bc_100_12", size)
    return DenseNet((16, 16, 16), 12, classes=classes, channels=channels, is_small=True, dropout=dropout)


def densenet_bc_190_40(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet-BC for CIFAR, 190 weighted layers, growth 40.

    Args:
        classes: number of outputs.
        size: side of the images, 4 to 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95].
    """
    _check_small("densenet_bc_190_40", size)
    return DenseNet((31, 31, 31), 40, classes=classes, channels=channels, is_small=True, dropout=dropout)


def densenet_40_12(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """DenseNet for CIFAR without bottlenecks and compression, 40 weighted layers, growth 12.

    Args:
        classes: number of outputs.
        size: side of the images, 4 to 64.
        channels: of the images.
        dropout: share of each layer's new maps dropped in training, in [0, 0.95]; the paper's 0.2 without augmentation.
    """
    _check_small("densenet_40_12", size)
    return DenseNet((12, 12, 12), 12, classes=classes, channels=channels, is_small=True, is_plain=True, dropout=dropout)


class DenseNet(nn.Module):
    """A stem, dense blocks with transitions between them, a last batch norm and ReLU, a mean over the image, a head.

    Args:
        layers: of each block.
        growth: maps a layer adds.
        classes: number of outputs.
        channels: of the images.
        is_small: the stem is one 3 x 3 convolution; else 7 x 7 of stride 2 and a pool.
        is_plain: no bottlenecks, and transitions keep all channels.
        dropout: share of each layer's new maps dropped in training.
    """

    def __init__(
        self,
        layers: tuple[int, ...],
        growth: int,
        *,
        classes: int,
        channels: int,
        is_small: bool,
        is_plain: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_range("dropout", dropout, 0, 0.95)
        count = 16 if is_plain else 2 * growth
        self.stem = (
            nn.Conv2d(channels, count, 3, padding=1, bias=False)
            if is_small
            else ConvBNAct(channels, count, kernel=7, stride=2)
        )
        self.pool = nn.Identity() if is_small else nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks = nn.Sequential()
        for number, depth in enumerate(layers, 1):
            self.blocks.add_module(
                f"block{number}", DenseBlock(count, depth, growth, is_plain=is_plain, dropout=dropout)
            )
            count += depth * growth
            if number < len(layers):
                transition = Transition(count, theta=1.0 if is_plain else 0.5)
                self.blocks.add_module(f"transition{number}", transition)
                count = transition.conv.out_channels
        self.last = nn.Sequential()
        self.last.add_module("bn", nn.BatchNorm2d(count))
        self.last.add_module("relu", nn.ReLU())
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(count, classes)
        self.stages = (*(f"blocks.block{number}" for number in range(1, len(layers))), "last")
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        maps = self.last(self.blocks(self.pool(self.stem(images))))
        logits: Tensor = self.head(self.gap(maps))
        return logits


class DenseLayer(nn.Module):
    """Batch norm, ReLU, a 1 x 1 convolution to 4 times the growth, again both, and a 3 x 3 to the new maps.

    Args:
        before: channels of the input.
        growth: new maps.
        is_plain: leaves out the first convolution, the bottleneck.
        dropout: share of the new maps' values dropped in training.
    """

    def __init__(self, before: int, growth: int, *, is_plain: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        inner = before if is_plain else 4 * growth
        if not is_plain:
            self.bn1, self.relu1 = nn.BatchNorm2d(before), nn.ReLU()
            self.conv1 = nn.Conv2d(before, inner, 1, bias=False)
        self.is_plain = is_plain
        self.bn2, self.relu2 = nn.BatchNorm2d(inner), nn.ReLU()
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """The new maps only, (N, growth, h, w)."""
        if not self.is_plain:
            maps = self.conv1(self.relu1(self.bn1(maps)))  # (N, 4 growth, h, w)
        new: Tensor = self.dropout(self.conv2(self.relu2(self.bn2(maps))))
        return new


class DenseBlock(nn.Sequential):
    """Dense layers; each gets the block's input and the new maps of all before it, and so does what follows.

    Args:
        before: channels of the input.
        layers: their number.
        growth: new maps of each.
        is_plain: without bottlenecks.
        dropout: share of the new maps' values dropped in training.
    """

    def __init__(self, before: int, layers: int, growth: int, *, is_plain: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        for number in range(layers):
            layer = DenseLayer(before + number * growth, growth, is_plain=is_plain, dropout=dropout)
            self.add_module(f"layer{number + 1}", layer)

    def forward(self, input: Tensor) -> Tensor:
        """(N, before + layers * growth, h, w)."""
        maps = input
        for layer in self:
            maps = torch.cat([maps, layer(maps)], dim=1)
        return maps


class Transition(nn.Module):
    """Batch norm, ReLU, a 1 x 1 convolution to a share theta of the channels, and means over 2 x 2.

    Args:
        before: channels of the input.
        theta: share of them that is left, in (0, 1].
    """

    def __init__(self, before: int, *, theta: float = 0.5) -> None:
        super().__init__()
        after = int(theta * before)
        if not 1 <= after <= before:
            raise ValueError(f"theta must be in (0, 1] and leave a channel of {before}, got {theta}")
        self.bn, self.relu = nn.BatchNorm2d(before), nn.ReLU()
        self.conv = nn.Conv2d(before, after, 1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, maps: Tensor) -> Tensor:
        """Half the side."""
        halved: Tensor = self.pool(self.conv(self.relu(self.bn(maps))))
        return halved


def _check_large(name: str, size: int) -> None:
    """Refuse images that the stem and three transitions would leave nothing of, and small ones."""
    takes_small(name, size, layouts=(224,))  # more than its strides ask for


def _check_small(name: str, size: int) -> None:
    """Refuse images that two transitions would leave nothing of, and large ones."""
    takes_small(name, size, layouts=(32,))
    check_strides(name, size, {"transition1": 2, "transition2": 4})
