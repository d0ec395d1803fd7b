"""VGG: nothing but 3 x 3 convolutions and pools, deeper and deeper.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, table 1,
columns A, B, D and E. https://arxiv.org/abs/1409.1556. Layers have the names by which they are known, such as relu4_3.
A name that ends in _bn has a batch norm behind each convolution, which the paper does not know.
"""

from collections import OrderedDict

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import initialise

from ._layout import check_fixed, check_strides, takes_small

TORCHVISION: dict[str, str] = {}
"""torchvision's names are the places of the same layers."""

DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions of each stage, by the number of layers with weights."""


def vgg11(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-11.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg11", size, adaptive)
    return VGG(11, classes=classes, channels=channels, dropout=dropout, is_small=is_small)


def vgg13(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-13.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg13", size, adaptive)
    return VGG(13, classes=classes, channels=channels, dropout=dropout, is_small=is_small)


def vgg16(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-16.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg16", size, adaptive)
    return VGG(16, classes=classes, channels=channels, dropout=dropout, is_small=is_small)


def vgg19(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-19.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg19", size, adaptive)
    return VGG(19, classes=classes, channels=channels, dropout=dropout, is_small=is_small)


def vgg11_bn(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-11, with a batch norm behind each convolution.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg11_bn", size, adaptive)
    return VGG(11, classes=classes, channels=channels, dropout=dropout, is_small=is_small, has_norm=True)


def vgg13_bn(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-13, with a batch norm behind each convolution.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg13_bn", size, adaptive)
    return VGG(13, classes=classes, channels=channels, dropout=dropout, is_small=is_small, has_norm=True)


def vgg16_bn(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-16, with a batch norm behind each convolution.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg16_bn", size, adaptive)
    return VGG(16, classes=classes, channels=channels, dropout=dropout, is_small=is_small, has_norm=True)


def vgg19_bn(
    *, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5, adaptive: bool = False
) -> nn.Module:
    """VGG-19, with a batch norm behind each convolution.

    Args:
        classes: number of outputs.
        size: side of the images: 224, or 32 with one fully connected layer; any other only if adaptive.
        channels: of the images.
        dropout: share of the fully connected layers' units dropped in training, in [0, 0.95]; none at 32.
        adaptive: pool the last maps to 7 x 7 (1 x 1 up to size 64), so that other sizes are taken.
    """
    is_small = _fits("vgg19_bn", size, adaptive)
    return VGG(19, classes=classes, channels=channels, dropout=dropout, is_small=is_small, has_norm=True)


def _fits(name: str, size: int, adaptive: bool) -> bool:
    """Whether images of a size take the 32 layout; refuses those whose last maps the head could not take."""
    is_small = takes_small(name, size)
    check_strides(name, size, {f"pool{stage}": 2**stage for stage in range(1, 6)})
    if not adaptive:
        check_fixed(
            name, size, 32 if is_small else 224, "resize them, or give adaptive=True, which pools the last maps"
        )
    return is_small


class VGG(nn.Module):
    """Five stages of 3 x 3 convolutions, 64 to 512 wide, each ended by a pool, then fully connected layers.

    Args:
        depth: layers with weights in the 224 layout: 11, 13, 16 or 19.
        classes: number of outputs.
        channels: of the images.
        dropout: behind each fully connected layer but the last.
        is_small: whether one fully connected layer stands where otherwise three do.
        has_norm: whether a batch norm follows each convolution.
        hidden: units of the first two of three fully connected layers.
    """

    def __init__(
        self,
        depth: int,
        *,
        classes: int,
        channels: int,
        dropout: float,
        is_small: bool,
        has_norm: bool = False,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        check_range("dropout", dropout, 0, 0.95)
        self.features = nn.Sequential()
        before = channels
        for stage, (convolutions, width) in enumerate(zip(DEPTHS[depth], (64, 128, 256, 512, 512), strict=True), 1):
            for index in range(1, convolutions + 1):
                place = f"{stage}_{index}"
                self.features.add_module(f"conv{place}", nn.Conv2d(before, width, 3, padding=1))
                if has_norm:
                    self.features.add_module(f"bn{place}", nn.BatchNorm2d(width))
                self.features.add_module(f"relu{place}", nn.ReLU(inplace=True))
                before = width
            self.features.add_module(f"pool{stage}", nn.MaxPool2d(2))
        self.stages = tuple(f"features.relu{stage}_{last}" for stage, last in enumerate(DEPTHS[depth], 1))
        self.pool = nn.AdaptiveAvgPool2d(1 if is_small else 7)  # changes nothing at 32 and 224
        if is_small:
            self.classifier = nn.Sequential(OrderedDict(fc=nn.Linear(512, classes)))
        else:
            self.classifier = nn.Sequential(
                OrderedDict(
                    fc6=nn.Linear(512 * 7 * 7, hidden),
                    relu6=nn.ReLU(inplace=True),
                    dropout6=nn.Dropout(dropout),
                    fc7=nn.Linear(hidden, hidden),
                    relu7=nn.ReLU(inplace=True),
                    dropout7=nn.Dropout(dropout),
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
        maps = self.pool(self.features(images))  # (N, 512, 7, 7), or (N, 512, 1, 1) in the 32 layout
        logits: Tensor = self.classifier(maps.flatten(1))
        return logits
