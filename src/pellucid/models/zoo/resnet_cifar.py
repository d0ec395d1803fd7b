"""ResNet for CIFAR-10: thin residual nets of three stages, 20 to 110 layers deep.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
https://arxiv.org/abs/1512.03385
"""

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import BasicBlock, ConvBNAct, GlobalAveragePool, initialise

from ._layout import check_strides, takes_small


def resnet_cifar(
    *,
    depth: int = 20,
    classes: int = 10,
    size: int = 32,
    channels: int = 3,
    shortcut: str = "A",
    zero_gamma: bool = False,
) -> nn.Module:
    """ResNet for small images, of any depth 6 n + 2: n basic blocks a stage.

    Args:
        depth: layers with weights, 6 n + 2 up to 1202.
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    check_range("depth", depth, 8, 1202)
    if depth % 6 != 2:
        below = depth - (depth - 2) % 6
        raise ValueError(f"depth must be 6 n + 2, such as {below} or {below + 6}, got {depth}")
    takes_small(f"resnet{depth}", size, layouts=(32,))
    check_strides(f"resnet{depth}", size, {"stage2": 2, "stage3": 4})
    return ResNetCIFAR((depth - 2) // 6, classes=classes, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma)


def resnet20(
    *, classes: int = 10, size: int = 32, channels: int = 3, shortcut: str = "A", zero_gamma: bool = False
) -> nn.Module:
    """ResNet-20 for small images: 3 basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    return resnet_cifar(
        depth=20, classes=classes, size=size, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma
    )


def resnet32(
    *, classes: int = 10, size: int = 32, channels: int = 3, shortcut: str = "A", zero_gamma: bool = False
) -> nn.Module:
    """ResNet-32 for small images: 5 basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    return resnet_cifar(
        depth=32, classes=classes, size=size, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma
    )


def resnet44(
    *, classes: int = 10, size: int = 32, channels: int = 3, shortcut: str = "A", zero_gamma: bool = False
) -> nn.Module:
    """ResNet-44 for small images: 7 basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    return resnet_cifar(
        depth=44, classes=classes, size=size, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma
    )


def resnet56(
    *, classes: int = 10, size: int = 32, channels: int = 3, shortcut: str = "A", zero_gamma: bool = False
) -> nn.Module:
    """ResNet-56 for small images: 9 basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    return resnet_cifar(
        depth=56, classes=classes, size=size, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma
    )


def resnet110(
    *, classes: int = 10, size: int = 32, channels: int = 3, shortcut: str = "A", zero_gamma: bool = False
) -> nn.Module:
    """ResNet-110 for small images: 18 basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images, up to 64.
        channels: of the images.
        shortcut: where channels change; A pads with zeros and has no weights, B is a 1 x 1 convolution.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    return resnet_cifar(
        depth=110, classes=classes, size=size, channels=channels, shortcut=shortcut, zero_gamma=zero_gamma
    )


class ResNetCIFAR(nn.Module):
    """A 3 x 3 convolution, three stages of basic blocks, 16, 32 and 64 wide, global average pooling, one linear layer.

    Args:
        depth: blocks of each stage.
        classes: number of outputs.
        channels: of the images.
        shortcut: A or B.
        zero_gamma: start every block as its shortcut alone.
    """

    stages = ("stage1", "stage2", "stage3")

    def __init__(self, depth: int, *, classes: int, channels: int, shortcut: str, zero_gamma: bool) -> None:
        super().__init__()
        self.stem = ConvBNAct(channels, 16)
        before = 16
        for name, width in zip(self.stages, (16, 32, 64), strict=True):
            blocks = nn.Sequential()
            for index in range(depth):
                stride = 2 if index == 0 and width > 16 else 1
                blocks.append(BasicBlock(before, width, stride=stride, option=shortcut, zero_gamma=zero_gamma))
                before = width
            self.add_module(name, blocks)
        self.gap = GlobalAveragePool()
        self.head = nn.Linear(before, classes)
        initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        maps = self.stem(images)  # (N, 16, H, W)
        for name in self.stages:  # the second and the third halve the side
            maps = self.get_submodule(name)(maps)
        logits: Tensor = self.head(self.gap(maps))
        return logits
