"""A small convolutional net for small gray pictures, with dropout before the last layer.

Two pairs of 3x3 convolutions in VGG's manner (K. Simonyan, A. Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556),
then global average pooling and one linear layer (M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014,
https://arxiv.org/abs/1312.4400), so that class activation maps mean something.
"""

from torch import nn

from pellucid.checks import check_range

INPUT = {"size": 8, "mean": (0.3,), "std": (0.38,)}
"""What the net is fed when nothing else is said: scikit-learn's digits, and the statistics of their training split."""


def digits_cnn(*, classes: int = 10, channels: int = 1, width: int = 32, dropout: float = 0.3) -> nn.Sequential:
    """Four 3x3 convolutions, a pool between them, global average pooling, dropout, one linear layer.

    Args:
        classes: number of outputs.
        channels: of the images, which may have any size from 2 x 2.
        width: channels of the first convolution, 1 to 1024; the others have twice as many.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    check_range("width", width, 1, 1024)
    check_range("dropout", dropout, 0, 0.95)
    return nn.Sequential(
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
