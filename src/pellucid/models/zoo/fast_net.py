"""A small residual net for 32 x 32 photographs, made to learn them in minutes on a CPU.

Six 3x3 convolutions in three stages, as few as a good CIFAR-10 classifier seems to need. Its first layer is not learned
but fitted: 2x2 patches of the training images are turned onto their principal axes and scaled to equal spread, with
both signs, so that the layers behind it see whitened pixels from the first step on. Ideas: whitening first layer,
pooling before the second half of a stage and GELU from K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
2024, https://arxiv.org/abs/2404.00498; residual stages from K. He et al., CVPR 2016, https://arxiv.org/abs/1512.03385;
convolutions that begin as the identity from S. Zagoruyko, N. Komodakis, "DiracNets", 2017,
https://arxiv.org/abs/1706.00388.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pellucid.checks import check_range

SIZES = (32,)

PATCH = 2
"""Side of the patches that are whitened."""

SCALE = 1 / 9
"""Of the logits: maxima over a map are large, and training would begin with certain mistakes."""


def fast_net(
    *, classes: int = 10, size: int = 32, channels: int = 3, width: int = 32, mirrored: bool = False
) -> nn.Module:
    """Fast net: whitened 2x2 patches, three residual stages, global max pooling, one linear layer.

    Args:
        classes: number of outputs.
        size: side of the images, at least 9.
        channels: of the images.
        width: channels of the first stage, 1 to 1024; the second has twice as many, the third thrice.
        mirrored: in eval mode, answer with the mean logits of an image and its mirror image, at twice the cost.
    """
    check_range("size", size, 9, 1024)
    check_range("width", width, 1, 1024)
    return FastNet(classes, channels, (width, 2 * width, 3 * width), mirrored=mirrored)


class FastNet(nn.Module):
    """Whitening, three stages, a head."""

    def __init__(self, classes: int, channels: int, widths: tuple[int, int, int], *, mirrored: bool = False) -> None:
        super().__init__()
        self.mirrored = mirrored
        first = 2 * channels * PATCH**2
        self.whitening = PatchWhitening(channels)
        self.activation = nn.GELU()
        self.stage1 = Stage(first, widths[0])
        self.stage2 = Stage(widths[0], widths[1])
        self.stage3 = Stage(widths[1], widths[2])
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(widths[2], classes)
        self.stages = ("stage1", "stage2", "stage3")

    def fit_input(self, images: Tensor) -> None:
        """Fit the first layer to images (N, C, H, W), as the network gets them; before training."""
        self.whitening.fit(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        if self.mirrored and not self.training:
            return (self._logits(images) + self._logits(images.flip(3))) / 2
        return self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        maps = self.activation(self.whitening(images))  # (N, 8 C, H - 1, W - 1)
        maps = self.stage3(self.stage2(self.stage1(maps)))  # (N, 3 width, (H - 1) // 8, (W - 1) // 8)
        logits: Tensor = self.head(self.flatten(self.pool(maps))) * SCALE
        return logits


class PatchWhitening(nn.Module):
    """2x2 patches along their principal axes, each with unit spread, and the same negated; only its bias is learned.

    Before `fit` the axes are random.
    """

    weight: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        count = channels * PATCH**2
        axes = torch.empty(count, channels, PATCH, PATCH)
        nn.init.kaiming_normal_(axes)
        self.register_buffer("weight", torch.cat([axes, -axes]))
        self.bias = nn.Parameter(torch.zeros(2 * count))

    @torch.no_grad()
    def fit(self, images: Tensor, *, epsilon: float = 5e-4) -> None:
        """Take the axes and spreads of the patches of images (N, C, H, W); epsilon is added to their variances."""
        patches = nn.functional.unfold(images, PATCH).transpose(1, 2).flatten(0, 1).double()  # (P, 4 C)
        covariance = patches.T @ patches / len(patches)
        variances, axes = torch.linalg.eigh(covariance)  # columns are axes
        scaled = (axes / (variances + epsilon).sqrt()).T.reshape(len(variances), -1, PATCH, PATCH)
        self.weight.copy_(torch.cat([scaled, -scaled]))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 8 C, H - 1, W - 1)."""
        return nn.functional.conv2d(images, self.weight, self.bias)


class Stage(nn.Module):
    """Convolution, pool, norm, GELU; then a residual convolution with norm and GELU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            OrderedDict(
                conv=identity_convolution(before, after),
                pool=nn.MaxPool2d(2),
                norm=nn.BatchNorm2d(after),
                act=nn.GELU(),
            )
        )
        self.residual = nn.Sequential(
            OrderedDict(conv=identity_convolution(after, after), norm=nn.BatchNorm2d(after), act=nn.GELU())
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Half the side, other channels."""
        maps = self.down(maps)
        out: Tensor = maps + self.residual(maps)
        return out


def identity_convolution(before: int, after: int) -> nn.Conv2d:
    """A 3x3 convolution without bias whose first channels begin as copies of what comes in."""
    conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:before])
    return conv
