"""A small convolutional net for small gray pictures, with dropout before the last layer.

Two pairs of 3x3 convolutions in VGG's manner (K. Simonyan, A. Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556),
then global average pooling and one linear layer (M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014,
https://arxiv.org/abs/1312.4400), so that class activation maps mean something.
"""

from torch import nn

from pellucid.checks import check_range

INPUT = {"mean": (0.3,), "std": (0.38,)}
"""How the net is fed when nothing else is said: the statistics of the training split of scikit-learn's digits."""

SIZES = range(2, 16385)
"""Any size is its own."""


def digits_cnn(
    *, classes: int = 10, size: int = 8, channels: int = 1, width: int = 32, dropout: float = 0.3
) -> nn.Sequential:
    """Four 3x3 convolutions, a pool between them, global average pooling, dropout, one linear layer.

    Args:
        classes: number of outputs.
        size: side of the images, at least 2; any other is taken too.
        channels: of the images.
        width: channels of the first convolution, 1 to 1024; the others have twice as many.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    check_range("size", size, 2)
    check_range("width", width, 1, 1024)
    check_range("dropout", dropout, 0, 0.95)
    return _DigitsCNN(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width, classes),
    )


class _DigitsCNN(nn.Sequential):
    stages = ("3", "8")

    @property
    def head(self) -> nn.Module:
        return self[-1]
