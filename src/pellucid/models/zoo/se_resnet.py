"""SE-ResNet: a ResNet whose blocks weigh each channel by what the whole image holds, before they add.

J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018. https://arxiv.org/abs/1709.01507, section 3 and
table 1. The scale stands on the residual branch, before the addition.
"""

from functools import partial

from torch import Tensor, nn

from pellucid.models.blocks import BasicBlock, Bottleneck, SqueezeExcite

from .resnet import ResNet, has_small_stem


def se_resnet18(
    *,
    classes: int = 1000,
    size: int = 224,
    channels: int = 3,
    reduction: int = 16,
    bias: bool = True,
    zero_gamma: bool = False,
) -> nn.Module:
    """SE-ResNet-18: two basic blocks a stage.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        reduction: the excitation's hidden layer has so many times fewer units than channels, at least 1.
        bias: whether the excitation's two layers have one.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block = partial(SEBasic, reduction=reduction, bias=bias, zero_gamma=zero_gamma)
    is_small = has_small_stem("se_resnet18", size)
    return ResNet(block, (2, 2, 2, 2), classes=classes, channels=channels, is_small=is_small)


def se_resnet50(
    *,
    classes: int = 1000,
    size: int = 224,
    channels: int = 3,
    reduction: int = 16,
    bias: bool = True,
    zero_gamma: bool = False,
) -> nn.Module:
    """SE-ResNet-50: 3, 4, 6 and 3 bottlenecks.

    Args:
        classes: number of outputs.
        size: side of the images; up to 64 the first convolution is 3 x 3 of stride 1, and no pool follows.
        channels: of the images.
        reduction: the excitation's hidden layer has so many times fewer units than channels, at least 1.
        bias: whether the excitation's two layers have one.
        zero_gamma: start every block as its shortcut alone (the last norm's weight is 0).
    """
    block = partial(SEBottleneck, reduction=reduction, bias=bias, zero_gamma=zero_gamma)
    is_small = has_small_stem("se_resnet50", size)
    return ResNet(block, (3, 4, 6, 3), classes=classes, channels=channels, is_small=is_small, expansion=4)


class SEBasic(BasicBlock):
    """Basic block whose residual branch is weighed by channel.

    Args:
        before: channels in.
        width: channels of both convolutions, and out.
        stride: of the first convolution.
        reduction: of the excitation's hidden layer.
        bias: of the excitation's layers.
        zero_gamma: start as the shortcut alone: the last norm's weight is 0.
    """

    def __init__(
        self,
        before: int,
        width: int,
        *,
        stride: int = 1,
        reduction: int = 16,
        bias: bool = True,
        zero_gamma: bool = False,
    ) -> None:
        super().__init__(before, width, stride=stride, zero_gamma=zero_gamma)
        self.excite = SqueezeExcite(width, reduction=reduction, bias=bias)

    def branch(self, maps: Tensor) -> Tensor:
        """What is added to the shortcut, weighed before it is."""
        weighed: Tensor = self.excite(super().branch(maps))
        return weighed


class SEBottleneck(Bottleneck):
    """Bottleneck whose residual branch is weighed by channel.

    Args:
        before: channels in.
        width: a quarter of the channels out.
        stride: of the 3 x 3 convolution.
        reduction: of the excitation's hidden layer.
        bias: of the excitation's layers.
        zero_gamma: start as the shortcut alone: the last norm's weight is 0.
    """

    def __init__(
        self,
        before: int,
        width: int,
        *,
        stride: int = 1,
        reduction: int = 16,
        bias: bool = True,
        zero_gamma: bool = False,
    ) -> None:
        super().__init__(before, width, stride=stride, zero_gamma=zero_gamma)
        self.excite = SqueezeExcite(self.expansion * width, reduction=reduction, bias=bias)

    def branch(self, maps: Tensor) -> Tensor:
        """What is added to the shortcut, weighed before it is."""
        weighed: Tensor = self.excite(super().branch(maps))
        return weighed
