"""ResNet: blocks that add what they found to what they were given.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
https://arxiv.org/abs/1512.03385. The bottleneck's stride is in its 3 x 3 convolution, see `Bottleneck`.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from pellucid.models.blocks import BasicBlock, Bottleneck, ConvBNAct, GlobalAveragePool, initialise

from ._layout import check_strides, takes_small

TORCHVISION = {
    r"^(conv|bn)1\.": r"stem.\1.",
    r"^layer": "stage",
    r"\.(conv|bn)(\d)\.": r".conv\2.\1.",
    r"\.downsample\.": ".shortcut.",
    r"^fc\.": "head.",
}
"""What torchvision's names are called here."""


def resnet18(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNet-18: two basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = partial(BasicBlock, zero_gamma=zero_gamma), has_small_stem("resnet18", size)
    return ResNet(block, (2, 2, 2, 2), classes=classes, channels=channels, is_small=is_small)


def resnet34(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNet-34: 3, 4, 6 and 3 basic blocks.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = partial(BasicBlock, zero_gamma=zero_gamma), has_small_stem("resnet34", size)
    return ResNet(block, (3, 4, 6, 3), classes=classes, channels=channels, is_small=is_small)


def resnet50(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNet-50: 3, 4, 6 and 3 bottlenecks.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = partial(Bottleneck, zero_gamma=zero_gamma), has_small_stem("resnet50", size)
    return ResNet(block, (3, 4, 6, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def resnet101(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNet-101: 3, 4, 23 and 3 bottlenecks.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = partial(Bottleneck, zero_gamma=zero_gamma), has_small_stem("resnet101", size)
    return ResNet(block, (3, 4, 23, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def resnet152(*, classes: int = 1000, size: int = 224, channels: int = 3, zero_gamma: bool = False) -> nn.Module:
    """ResNet-152: 3, 8, 36 and 3 bottlenecks.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block, is_small = partial(Bottleneck, zero_gamma=zero_gamma), has_small_stem("resnet152", size)
    return ResNet(block, (3, 8, 36, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


def has_small_stem(name: str, size: int) -> bool:
    """Whether images of a size take the 32 layout; refuses those too small for its three strides."""
    is_small = takes_small(name, size)
    if is_small:
        check_strides(name, size, {"stage2": 2, "stage3": 4, "stage4": 8})
    return is_small


class ResNet(nn.Module):
    """A stem, four stages of blocks, 64 to 512 wide, global average pooling, one linear layer.

    Args:
        block: builds a block from channels in, width and stride (by keyword).
        depths: blocks of each stage.
        classes: number of outputs.
        channels: of the images.
        is_small: whether the stem is one 3 x 3 convolution, instead of a 7 x 7 one and a pool that divide by 4.
        expansion: a block's channels out, as a multiple of its width.
    """

    stages = ("stage1", "stage2", "stage3", "stage4")

    def __init__(
        self,
        block: Callable[..., nn.Module],
        depths: tuple[int, int, int, int],
        *,
        classes: int,
        channels: int,
        is_small: bool,
        expansion: int = 1,
    ) -> None:
        super().__init__()
        self.stem = ConvBNAct(channels, 64) if is_small else ConvBNAct(channels, 64, kernel=7, stride=2)
        self.pool = nn.Identity() if is_small else nn.MaxPool2d(3, stride=2, padding=1)
        before = 64
        for name, depth, width in zip(self.stages, depths, (64, 128, 256, 512), strict=True):
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.append(block(before, width, stride=2 if index == 0 and width > 64 else 1))
                before = width * expansion
            self.add_module(name, blocks)
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(before, classes)
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        maps = self.pool(self.stem(images))  # (N, 64, H / 4, W / 4), or (N, 64, H, W) in the 32 layout
        for name in self.stages:  # every stage but the first halves the side
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.gap(maps))
        return logits
