"""Wide ResNet: fewer, wider residual blocks.

S. Zagoruyko, N. Komodakis, "Wide Residual Networks", BMVC 2016. https://arxiv.org/abs/1605.07146, table 1. Those for
small images put norm and ReLU before each convolution; WRN-50-2 is ResNet-50 with bottlenecks of twice the inner width.
"""

from functools import partial

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import Bottleneck, GlobalAveragePool, PreActBlock, initialise

from ._layout import check_strides, takes_small
from .resnet import TORCHVISION as RESNETS
from .resnet import ResNet, has_small_stem

TORCHVISION = RESNETS
"""What torchvision's names are called here."""


def wide_resnet50_2(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """Wide ResNet-50-2: ResNet-50 with bottlenecks of twice the inner width.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = (
        partial(Bottleneck, base_width=128, zero_gamma=zero_gamma),
        has_small_stem("wide_resnet50_2", size),
    )
    return ResNet(block, (3, 4, 6, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def wide_resnet(
    *,
    depth: int = 16,
    width: int = 4,
    classes: int = 10,
    size: int = 32,
    channels: int = 3,
    dropout: float = 0.0,
) -> nn.Module:
    """Wide ResNet for small images, of any depth 6 n + 4 and width: n pre-activation blocks a stage.

    Args:
        depth: layers with weights, 6 n + 4 up to 1204.
        width: multiplies the channels of the three stages, 16, 32 and 64, by 1 to 64.
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        dropout: share of a block's inner maps dropped in training, in [0, 0.95].
    """
    check_range("depth", depth, 10, 1204)
    check_range("width", width, 1, 64)
    if depth % 6 != 4:
        below = depth - (depth - 4) % 6
        raise ValueError(f"depth must be 6 n + 4, such as {below} or {below + 6}, got {depth}")
    takes_small(f"wrn_{depth}_{width}", size, layouts=(32,))
    check_strides(f"wrn_{depth}_{width}", size, {"stage2": 2, "stage3": 4})
    return WideResNet((depth - 4) // 6, width, classes=classes, channels=channels, dropout=dropout)


def wrn_16_4(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Wide ResNet-16-4 for small images: 16 layers, 4 times the width.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        dropout: share of a block's inner maps dropped in training, in [0, 0.95].
    """
    return wide_resnet(depth=16, width=4, classes=classes, size=size, channels=channels, dropout=dropout)


def wrn_16_8(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Wide ResNet-16-8 for small images: 16 layers, 8 times the width.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        dropout: share of a block's inner maps dropped in training, in [0, 0.95].
    """
    return wide_resnet(depth=16, width=8, classes=classes, size=size, channels=channels, dropout=dropout)


def wrn_40_4(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Wide ResNet-40-4 for small images: 40 layers, 4 times the width.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        dropout: share of a block's inner maps dropped in training, in [0, 0.95].
    """
    return wide_resnet(depth=40, width=4, classes=classes, size=size, channels=channels, dropout=dropout)


def wrn_28_10(*, classes: int = 10, size: int = 32, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """Wide ResNet-28-10 for small images: 28 layers, 10 times the width.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        dropout: share of a block's inner maps dropped in training, in [0, 0.95].
    """
    return wide_resnet(depth=28, width=10, classes=classes, size=size, channels=channels, dropout=dropout)


class WideResNet(nn.Module):
    """A 3 x 3 convolution, three stages of pre-activation blocks, norm, ReLU, global average pooling, one linear layer.

    Args:
        depth: blocks of each stage.
        width: multiplies the channels of the stages.
        classes: number of outputs.
        channels: of the images.
        dropout: within each block, in training.
    """

    def __init__(self, depth: int, width: int, *, classes: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        before = 16
        for name, after in (("stage1", 16 * width), ("stage2", 32 * width), ("stage3", 64 * width)):
            blocks = nn.Sequential()
            for index in range(depth):
                stride = 2 if index == 0 and name != "stage1" else 1
                blocks.append(PreActBlock(before, after, stride=stride, dropout=dropout))
                before = after
            self.add_module(name, blocks)
        self.bn = nn.BatchNorm2d(before)
        self.act = nn.ReLU(inplace=True)
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(before, classes)
        self.stages = ("stage1", "stage2", "act")  # the third stage's sum still lacks its norm and ReLU
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        maps = self.stem(images)  # (N, 16, H, W)
        for name in ("stage1", "stage2", "stage3"):  # the second and the third halve the side
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.gap(self.act(self.bn(maps))))
        return logits
