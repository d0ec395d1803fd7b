"""A small convolutional net for small gray pictures, with dropout before the last layer.

The shape is LeNet's (Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998):
convolutions, pooling, one fully connected layer; ReLU and 3x3 kernels as in later practice.
"""

from torch import nn

from pellucid.checks import check_range


def digits_cnn(
    *, classes: int = 10, channels: int = 1, size: tuple[int, int] = (8, 8), width: int = 32, dropout: float = 0.3
) -> nn.Sequential:
    """Two 3x3 convolutions, a pool, a third convolution, dropout, one linear layer.

    Args:
        classes: number of outputs.
        channels: of the images.
        size: (H, W) of the images, 2 to 256 each.
        width: channels of the first convolution, 1 to 1024; the others have twice as many.
        dropout: share of the last features dropped in training, in [0, 0.95].
    """
    for side in size:
        check_range("size", side, 2, 256)
    check_range("width", width, 1, 1024)
    check_range("dropout", dropout, 0, 0.95)
    features = 2 * width * (size[0] // 2) * (size[1] // 2)
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(features, classes),
    )


INPUT = {"size": 8, "mean": (0.0,), "std": (1.0,)}
"""What the net is fed when nothing else is said."""
