"""Blocks of which several networks of the zoo are made; each can be built and asked alone.

Residual blocks: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, https://arxiv.org/abs/1512.03385.
A residual branch ends before its last ReLU: convolution, norm, ReLU, convolution, norm; then the shortcut is added, and
only the sum passes a ReLU. With a ReLU at the branch's end it could never take anything away.
"""

import math
from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_choice, check_range

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU}


class ConvBNAct(nn.Sequential):
    """Convolution without bias, batch norm, activation; padded so that stride 1 keeps an odd kernel's image side.

    Args:
        before: channels in.
        after: channels out.
        kernel: side of the window.
        stride: step of the window.
        groups: parts into which the channels are split, each convolved alone.
        activation: relu, relu6, silu, or none where a sum or nothing follows.
        epsilon: added to the variance by the norm.
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: str = "relu",
        epsilon: float = 1e-5,
    ) -> None:
        check_choice("activation", activation, [*ACTIVATIONS, "none"])
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            bn=nn.BatchNorm2d(after, eps=epsilon),
        )
        if activation != "none":
            parts["act"] = ACTIVATIONS[activation](inplace=True)
        super().__init__(parts)


class PadShortcut(nn.Module):
    """Shortcut without weights (option A of the paper): every stride-th pixel, new channels filled with zeros."""

    def __init__(self, before: int, after: int, *, stride: int = 1) -> None:
        super().__init__()
        if after < before:
            raise ValueError(f"after must be at least before, {before}: zeros can only be added, got {after}")
        self.stride, self.new = stride, after - before

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) becomes (N, after, h / stride, w / stride)."""
        kept = maps[:, :, :: self.stride, :: self.stride]  # (N, before, h / stride, w / stride)
        return F.pad(kept, (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))  # (N, after, ...)


def shortcut(before: int, after: int, *, stride: int = 1, option: str = "B") -> nn.Module:
    """The way around a residual branch: the identity, or, where channels or side change, one that fits.

    Args:
        before: channels in.
        after: channels out.
        stride: of the branch.
        option: A pads with zeros and has no weights; B is a 1 x 1 convolution with batch norm.
    """
    check_choice("shortcut", option, ["A", "B"])
    if stride == 1 and before == after:
        return nn.Identity()
    if option == "A":
        return PadShortcut(before, after, stride=stride)
    return ConvBNAct(before, after, kernel=1, stride=stride, activation="none")


class BasicBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions.

    Args:
        before: channels in.
        width: channels of both convolutions, and out.
        stride: of the first convolution.
        option: shortcut A or B, see `shortcut`.
        zero_gamma: start as the shortcut alone: the last norm's weight is 0.
    """

    def __init__(
        self, before: int, width: int, *, stride: int = 1, option: str = "B", zero_gamma: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = ConvBNAct(before, width, stride=stride)
        self.conv2 = ConvBNAct(width, width, activation="none")
        self.shortcut = shortcut(before, width, stride=stride, option=option)
        self.act = nn.ReLU(inplace=True)
        if zero_gamma:
            nn.init.zeros_(self.conv2.get_parameter("bn.weight"))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) becomes (N, width, h / stride, w / stride)."""
        summed: Tensor = self.act(self.branch(maps) + self.shortcut(maps))
        return summed

    def branch(self, maps: Tensor) -> Tensor:
        """What is added to the shortcut."""
        found: Tensor = self.conv2(self.conv1(maps))
        return found


class Bottleneck(nn.Module):
    """Residual block that narrows by 1 x 1, convolves 3 x 3, and widens by 1 x 1 to four times its width.

    The stride is the 3 x 3 convolution's, as in today's weights; the paper strides in the first 1 x 1, which skips
    three quarters of the pixels. Several groups make it ResNeXt's block, a larger base width Wide ResNet-50-2's.

    Args:
        before: channels in.
        width: a quarter of the channels out.
        stride: of the 3 x 3 convolution.
        groups: of the 3 x 3 convolution (ResNeXt's cardinality).
        base_width: channels of each group where width is 64; more in proportion.
        zero_gamma: start as the shortcut alone: the last norm's weight is 0.
    """

    expansion = 4

    def __init__(
        self,
        before: int,
        width: int,
        *,
        stride: int = 1,
        groups: int = 1,
        base_width: int = 64,
        zero_gamma: bool = False,
    ) -> None:
        super().__init__()
        inner, after = width * base_width // 64 * groups, width * self.expansion
        if inner < 1:
            raise ValueError(f"base_width must be at least 64 / width to leave a channel, got {base_width} at {width}")
        self.conv1 = ConvBNAct(before, inner, kernel=1)
        self.conv2 = ConvBNAct(inner, inner, stride=stride, groups=groups)
        self.conv3 = ConvBNAct(inner, after, kernel=1, activation="none")
        self.shortcut = shortcut(before, after, stride=stride)
        self.act = nn.ReLU(inplace=True)
        if zero_gamma:
            nn.init.zeros_(self.conv3.get_parameter("bn.weight"))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) becomes (N, 4 width, h / stride, w / stride)."""
        summed: Tensor = self.act(self.branch(maps) + self.shortcut(maps))
        return summed

    def branch(self, maps: Tensor) -> Tensor:
        """What is added to the shortcut."""
        found: Tensor = self.conv3(self.conv2(self.conv1(maps)))
        return found


class PreActBlock(nn.Module):
    """Residual block with norm and ReLU before each convolution: nothing stands between the shortcuts.

    K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016, https://arxiv.org/abs/1603.05027.

    Args:
        before: channels in.
        width: channels of both convolutions, and out.
        stride: of the first convolution.
        dropout: share of the first convolution's outputs dropped in training.
    """

    def __init__(self, before: int, width: int, *, stride: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        check_range("dropout", dropout, 0, 0.95)
        self.bn1 = nn.BatchNorm2d(before)
        self.act1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        is_same = stride == 1 and before == width
        self.shortcut = None if is_same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, h, w) becomes (N, width, h / stride, w / stride)."""
        ready = self.act1(self.bn1(maps))
        branch: Tensor = self.conv2(self.dropout(self.act2(self.bn2(self.conv1(ready)))))
        return branch + (maps if self.shortcut is None else self.shortcut(ready))


class SqueezeExcite(nn.Module):
    """Scales each channel by a number in (0, 1) that two small layers find from the means of all channels.

    J. Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, https://arxiv.org/abs/1709.01507.

    Args:
        channels: in and out.
        reduction: the hidden layer has so many times fewer units, at least 1.
        squeezed: units of the hidden layer; 0 takes what the reduction says.
        activation: between the two layers, see `ConvBNAct`.
        bias: whether the two layers have one.
    """

    def __init__(
        self, channels: int, *, reduction: int = 16, squeezed: int = 0, activation: str = "relu", bias: bool = True
    ) -> None:
        super().__init__()
        check_range("reduction", reduction, 1)
        check_choice("activation", activation, ACTIVATIONS)
        hidden = squeezed or max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.act = ACTIVATIONS[activation](inplace=True)
        self.restore = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) keeps its shape."""
        means = maps.mean(dim=(2, 3), keepdim=True)  # (N, C, 1, 1)
        scale: Tensor = self.restore(self.act(self.reduce(means))).sigmoid()  # (N, C, 1, 1)
        return maps * scale


class GlobalAveragePool(nn.Module):
    """The mean over all positions: maps (N, C, h, w) of any size become features (N, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) becomes (N, C)."""
        return maps.mean(dim=(2, 3))


def initialise(network: nn.Module, *heads: nn.Module, is_forward: bool = False) -> None:
    """Start a ReLU network's weights: He's normal distribution, biases at 0; heads so small that all classes are even.

    K. He et al., "Delving Deep into Rectifiers", ICCV 2015, https://arxiv.org/abs/1502.01852: a variance of 2 / n, n
    being the number of outputs an input reaches (convolutions) or of inputs (fully connected layers).

    Args:
        network: changed in place; norms stay as they are.
        heads: its classifiers, which no ReLU follows; a standard deviation of 0.01.
        is_forward: n counts inputs in convolutions too: keeps the signal's size where widths change and no norm does.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            channels = module.in_channels if is_forward else module.out_channels
            met = math.prod(module.kernel_size) * channels // module.groups
            nn.init.normal_(module.weight, 0, math.sqrt(2 / met))
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, math.sqrt(2 / module.in_features))
        if isinstance(module, nn.Conv2d | nn.Linear):
            if module in heads:
                nn.init.normal_(module.weight, 0, 0.01)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
