"""Network in Network: after every convolution two of 1 x 1, and classes averaged over the image instead of layers.

M. Lin, Q. Chen, S. Yan, "Network In Network", ICLR 2014. https://arxiv.org/abs/1312.4400

Sizes as in the authors' published definitions, whose pools round up. After the last convolution there is no ReLU: it
would keep a class whose evidence fell below 0 everywhere from ever being learned again.
"""

from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.models.blocks import GlobalAveragePool, initialise

from ._layout import check_strides, takes_small

CONVOLUTIONS_224 = (((96, 96, 96), 11, 4, 0), ((256, 256, 256), 5, 1, 2), ((384, 384, 384), 3, 1, 1))
CONVOLUTIONS_32 = (((192, 160, 96), 5, 1, 2), ((192, 192, 192), 5, 1, 2))
"""Of each block: channels of its three convolutions; kernel, stride and padding of the first."""


def nin(*, classes: int = 1000, size: int = 224, channels: int = 3, dropout: float = 0.5) -> nn.Module:
    """Network in Network; images of up to 64 x 64 take the layout for CIFAR (966,986 weights for 10 classes).

    Args:
        classes: number of outputs.
        size: side of the images, at least 4; up to 64 the layout for CIFAR is taken.
        channels: of the images.
        dropout: share of the channels' values dropped between blocks in training, in [0, 0.95].
    """
    is_small = takes_small("nin", size)
    check_strides("nin", size, {"blocks.0": 1, "blocks.3": 4} if is_small else {"blocks.0": 11})
    check_range("dropout", dropout, 0, 0.95)
    return NiN(classes, channels, is_small=is_small, dropout=dropout)


class NiN(nn.Module):
    """Blocks with pools between them; the last one puts out a map a class, whose mean is the logit."""

    def __init__(self, classes: int, channels: int, *, is_small: bool, dropout: float = 0.5) -> None:
        super().__init__()
        blocks, before = nn.Sequential(), channels
        for number, (widths, kernel, stride, padding) in enumerate(CONVOLUTIONS_32 if is_small else CONVOLUTIONS_224):
            blocks.append(NiNBlock(before, widths, kernel, stride=stride, padding=padding))
            blocks.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            if is_small or number == 2:
                blocks.append(nn.Dropout(dropout))
            before = widths[-1]
        last = (192, 192, classes) if is_small else (1024, 1024, classes)
        blocks.append(NiNBlock(before, last, 3, padding=1, is_last=True))
        self.blocks = blocks
        self.gap = GlobalAveragePool()
        self.stages = tuple(f"blocks.{place}" for place, block in enumerate(blocks) if isinstance(block, NiNBlock))
        initialise(self, self.head)

    @property
    def head(self) -> nn.Conv2d:
        """The convolution that puts out a map a class."""
        return self.get_submodule(f"{self.stages[-1]}.conv3")  # type: ignore[return-value]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        maps = self.blocks(images)  # (N, K, h, w)
        logits: Tensor = self.gap(maps)
        return logits


class NiNBlock(nn.Sequential):
    """A convolution, and two of 1 x 1: a small perceptron slid over the image.

    Args:
        before: channels of the input.
        widths: channels of the three convolutions.
        kernel: side of the first.
        stride: of the first.
        padding: of the first.
        is_last: leaves out the last ReLU.
    """

    def __init__(
        self,
        before: int,
        widths: tuple[int, int, int],
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        is_last: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, widths[0], kernel, stride=stride, padding=padding)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(widths[0], widths[1], 1)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(widths[1], widths[2], 1)
        if not is_last:
            self.relu3 = nn.ReLU()
