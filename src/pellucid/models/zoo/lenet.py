"""LeNet-5: two convolutions, two pools, three linear layers; learns to read digits.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of
the IEEE 86(11), 1998, section II. http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf

As it is mostly drawn today: ReLU, max pooling, every channel connected to every channel. With `original` it is the
paper's: scaled tanh, pools that learn a factor and an offset, the sparse table of its third layer, and an output that
compares with fixed codes instead of learning weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import initialise

from ._layout import takes_small

SIDE = 32
"""Side of the images the layers are made for; smaller ones are padded to it."""

SIZES = (28, 32)
"""Sides it was laid out for: digits come as 28 x 28."""

INPUT = {"mean": (0.1307,), "std": (0.3081,)}
"""Statistics of MNIST's training images."""

TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)
"""Table I of the paper: which of the six maps each of the sixteen looks at."""

CODE = 84
"""Features of the last layer but one; the paper's codes were drawn on 7 x 12 pixels."""


def lenet5(*, classes: int = 10, size: int = 32, channels: int = 1, original: bool = False) -> nn.Module:
    """LeNet-5 for images of up to 32 x 32, which are padded with zeros to that: 28 x 28 digits fit in the middle.

    Args:
        classes: number of outputs; with original at most 127.
        size: side of the images, 8 to 32.
        channels: of the images.
        original: as in 1998: tanh, learned pooling, sparse connections, fixed output codes (60,000 weights).
    """
    takes_small("lenet5", size, layouts=(32,))
    check_range("size", size, 8, SIDE)
    if original and classes >= 128:
        raise ValueError(f"classes must be at most 127 with original, which has no more codes, got {classes}")
    return LeNet5(classes, channels, size=size, original=original)


class LeNet5(nn.Module):
    """The net, its layers named as they follow each other.

    Args:
        classes: number of outputs.
        channels: of the images.
        size: side of the images, at most 32.
        original: as in 1998.
    """

    stages = ("conv1", "pool1", "conv2", "pool2")

    def __init__(self, classes: int, channels: int, *, size: int = SIDE, original: bool = False) -> None:
        super().__init__()
        before, after = (SIDE - size) // 2, (SIDE - size + 1) // 2
        self.pad = nn.ZeroPad2d((before, after, before, after)) if size < SIDE else nn.Identity()
        self.conv1 = nn.Sequential(nn.Conv2d(channels, 6, 5), _activation(original))
        self.pool1 = Subsample(6) if original else nn.MaxPool2d(2)
        self.conv2 = nn.Sequential(
            SparseConv2d(6, TABLE, 5) if original else nn.Conv2d(6, 16, 5), _activation(original)
        )
        self.pool2 = Subsample(16) if original else nn.MaxPool2d(2)
        self.fc1 = nn.Sequential(nn.Linear(16 * 5 * 5, 120), _activation(original))
        self.fc2 = nn.Sequential(nn.Linear(120, CODE), _activation(original))
        self.head = FixedCodes(CODE, classes) if original else nn.Linear(CODE, classes)
        if not original:
            initialise(self, self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        features = self.pool1(self.conv1(self.pad(images)))  # (N, 6, 14, 14)
        features = self.pool2(self.conv2(features))  # (N, 16, 5, 5)
        logits: Tensor = self.head(self.fc2(self.fc1(features.flatten(1))))
        return logits


class ScaledTanh(nn.Module):
    """1.7159 tanh(2 x / 3), which takes 1 to 1 and -1 to -1, where it bends most (appendix A)."""

    def forward(self, features: Tensor) -> Tensor:
        """Of the same shape."""
        return 1.7159 * torch.tanh(features * (2 / 3))


class Subsample(nn.Module):
    """Sums of 2 x 2, times a learned factor a channel, plus a learned offset, squashed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.squash = ScaledTanh()

    def forward(self, maps: Tensor) -> Tensor:
        """Half the side."""
        means = F.avg_pool2d(maps, 2)  # (N, C, H / 2, W / 2)
        squashed: Tensor = self.squash(4 * means * self.weight + self.bias)
        return squashed


class SparseConv2d(nn.Module):
    """A convolution whose every output channel looks at some of the input channels only."""

    def __init__(self, channels: int, table: tuple[tuple[int, ...], ...], kernel: int) -> None:
        super().__init__()
        pairs = [(out, one) for out, some in enumerate(table) for one in some]
        self.shape = (len(table), channels, kernel, kernel)
        self.register_buffer("outs", torch.tensor([out for out, _ in pairs]), persistent=False)
        self.register_buffer("ins", torch.tensor([one for _, one in pairs]), persistent=False)
        self.weight = nn.Parameter(torch.empty(len(pairs), kernel, kernel))  # one kernel a connection
        self.bias = nn.Parameter(torch.zeros(len(table)))
        bound = (len(table) / (len(pairs) * kernel**2)) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, maps: Tensor) -> Tensor:
        """No padding: the side shrinks by kernel - 1."""
        dense = self.weight.new_zeros(self.shape).index_put(
            (self.get_buffer("outs"), self.get_buffer("ins")), self.weight
        )
        return F.conv2d(maps, dense, self.bias)


class FixedCodes(nn.Module):
    """Minus the squared distance to a fixed code a class, of -1 and +1; the codes are no weights, they are kept.

    The paper drew the codes as pictures of the characters, and names an error-correcting code as another choice, which
    is taken here, for it serves any classes: rows of a Hadamard matrix.
    """

    codes: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        bits = torch.arange(7)
        rows = (torch.arange(1, classes + 1)[:, None] >> bits) & 1  # (K, 7)
        columns = (torch.arange(1, features + 1)[:, None] >> bits) & 1  # (D, 7)
        common = (rows[:, None] * columns[None]).sum(dim=2)  # (K, D)
        self.register_buffer("codes", 1.0 - 2.0 * (common % 2))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, K), none above 0."""
        return -(features[:, None] - self.codes).square().sum(dim=2)


def _activation(original: bool) -> nn.Module:
    return ScaledTanh() if original else nn.ReLU()
