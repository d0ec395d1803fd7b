"""ResNeXt: residual bottlenecks whose 3 x 3 convolution is split into many groups.

S. Xie, R. Girshick, P. Dollar, Z. Tu, K. He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017.
https://arxiv.org/abs/1611.05431, table 1 and section 5.3. A name ends in groups x channels of each in the first stage.
"""

from functools import partial

from torch import Tensor, nn

from pellucid.models.blocks import Bottleneck, ConvBNAct, GlobalAveragePool, initialise

from ._layout import check_strides, takes_small
from .resnet import TORCHVISION as RESNETS
from .resnet import ResNet, has_small_stem

TORCHVISION = RESNETS
"""What torchvision's names are called here."""


def resnext50_32x4d(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNeXt-50 with 32 groups of 4 channels.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block = partial(Bottleneck, groups=32, base_width=4, zero_gamma=zero_gamma)
    is_small = has_small_stem("resnext50_32x4d", size)
    return ResNet(block, (3, 4, 6, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def resnext101_32x8d(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNeXt-101 with 32 groups of 8 channels.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block = partial(Bottleneck, groups=32, base_width=8, zero_gamma=zero_gamma)
    is_small = has_small_stem("resnext101_32x8d", size)
    return ResNet(block, (3, 4, 23, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def resnext29_8x64d(*, classes: int = 10, size: int = 32, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNeXt-29 for small images, with 8 groups of 64 channels.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    takes_small("resnext29_8x64d", size, layouts=(32,))
    check_strides("resnext29_8x64d", size, {"stage2": 2, "stage3": 4})
    return ResNeXt29(8, 64, classes=classes, channels=channels, zero_gamma=zero_gamma)


def resnext29_16x64d(*, classes: int = 10, size: int = 32, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNeXt-29 for small images, with 16 groups of 64 channels.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    takes_small("resnext29_16x64d", size, layouts=(32,))
    check_strides("resnext29_16x64d", size, {"stage2": 2, "stage3": 4})
    return ResNeXt29(16, 64, classes=classes, channels=channels, zero_gamma=zero_gamma)


class ResNeXt29(nn.Module):
    """A 3 x 3 convolution, three stages of three bottlenecks, 256 to 1024 wide, global average pool, one linear layer.

    Args:
        groups: of each 3 x 3 convolution within a bottleneck.
        base_width: channels of each group in the first stage; twice as many in the second, and again in the third.
        classes: number of outputs.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone.
    """

    stages = ("stage1", "stage2", "stage3")

    def __init__(self, groups: int, base_width: int, *, classes: int, channels: int, zero_gamma: bool) -> None:
        super().__init__()
        self.stem = ConvBNAct(channels, 64)
        block = partial(Bottleneck, groups=groups, base_width=base_width, zero_gamma=zero_gamma)
        before = 64
        for name, width in zip(self.stages, (64, 128, 256), strict=True):
            first = block(before, width, stride=1 if width == 64 else 2)
            before = 4 * width
            self.add_module(name, nn.Sequential(first, block(before, width), block(before, width)))
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(before, classes)
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        maps = self.stem(images)  # (N, 64, H, W)
        for name in self.stages:  # the second and the third halve the side
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.gap(maps))
        return logits
