"""AlexNet: five convolutions, three fully connected layers, ReLU and dropout.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
section 3: `alexnet_grouped`, whose two groups were two graphics cards. `alexnet` is the net on one card:
A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014, https://arxiv.org/abs/1404.5997.
"""

from collections import OrderedDict

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import initialise

from ._layout import check_fixed, check_strides, takes_small

TORCHVISION: dict[str, str] = {}
"""torchvision's names are the places of the same layers."""


def alexnet(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """AlexNet as it is built for one machine: no groups, no response norm.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' inputs dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 6 x 6 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = takes_small("alexnet", size)
    _check_size("alexnet", size, is_small, adaptive)
    return AlexNet(classes=classes, channels=channels, dropout=dropout, is_small=is_small)


def alexnet_grouped(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """AlexNet as it was published: three convolutions in two groups, local response norm behind the first two.

    Args:
        classes: number of outputs.
        size: side of the images: 224; any other beyond 64 only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' inputs dropped in training, in [0, 0.95].
        adaptive: pool the last maps to 6 x 6, so that other sizes are taken.
    """
    takes_small("alexnet_grouped", size, layouts=(224,))
    _check_size("alexnet_grouped", size, False, adaptive)
    return AlexNet(classes=classes, channels=channels, dropout=dropout, is_small=False, groups=2)


def _check_size(name: str, size: int, is_small: bool, adaptive: bool) -> None:
    """Refuse images whose last maps the head could not take."""
    if is_small:
        check_strides(name, size, {"conv1": 4, "pool1": 8, "pool2": 16, "pool5": 32})
    if not adaptive:
        check_fixed(
            name, size, 32 if is_small else 224, "resize them, or give adaptive=True, which pools the last maps"
        )


class AlexNet(nn.Module):
    """Five convolutions, three pools, and three fully connected layers (one in the 32 layout).

    Args:
        classes: number of outputs.
        channels: of the images.
        dropout: before each fully connected layer but the last.
        is_small: whether the pools are 2 x 2 and one fully connected layer stands where otherwise three do.
        groups: 1, or 2 as published, with wider first layers and local response norm.
        hidden: units of the first two of three fully connected layers.
    """

    def __init__(
        self, *, classes: int, channels: int, dropout: float, is_small: bool, groups: int = 1, hidden: int = 4096
    ) -> None:
        super().__init__()
        check_range("dropout", dropout, 0, 0.95)
        widths = (64, 192, 384, 256, 256) if groups == 1 else (96, 256, 384, 384, 256)
        self.features = nn.Sequential()
        before = channels
        for place, (width, kernel) in enumerate(zip(widths, (11, 5, 3, 3, 3), strict=True), 1):
            stride, padding = (4, 5 if is_small else 2) if place == 1 else (1, kernel // 2)
            parts = groups if place in {2, 4, 5} else 1  # the third looked at both cards' maps
            self.features.add_module(f"conv{place}", nn.Conv2d(before, width, kernel, stride, padding, groups=parts))
            self.features.add_module(f"relu{place}", nn.ReLU(inplace=True))
            if groups > 1 and place in {1, 2}:
                self.features.add_module(f"norm{place}", response_norm())
            if place in {1, 2, 5}:
                self.features.add_module(f"pool{place}", nn.MaxPool2d(2 if is_small else 3, stride=2))
            before = width
        self.stages = ("features.relu1", "features.relu2", "features.relu5")
        self.pool = nn.AdaptiveAvgPool2d(1 if is_small else 6)  # changes nothing at 32 and 224
        if is_small:
            self.classifier = nn.Sequential(OrderedDict(fc=nn.Linear(before, classes)))
        else:
            self.classifier = nn.Sequential(
                OrderedDict(
                    dropout6=nn.Dropout(dropout),
                    fc6=nn.Linear(before * 6 * 6, hidden),
                    relu6=nn.ReLU(inplace=True),
                    dropout7=nn.Dropout(dropout),
                    fc7=nn.Linear(hidden, hidden),
                    relu7=nn.ReLU(inplace=True),
                    fc8=nn.Linear(hidden, classes),
                )
            )
        initialise(self, self.head)

    @property
    def head(self) -> nn.Module:
        """The classifier's last layer."""
        return self.classifier[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        maps = self.pool(self.features(images))  # (N, 256, 6, 6), or (N, 256, 1, 1) in the 32 layout
        logits: Tensor = self.classifier(maps.flatten(1))
        return logits


def response_norm() -> nn.LocalResponseNorm:
    """Local response norm with the paper's constants (n 5, k 2, alpha 1e-4, beta 0.75; its section 3.3)."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)  # PyTorch divides alpha by n, the paper does not
