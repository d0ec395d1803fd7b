"""Operations that move whole pixels: flips and crops; exact, and as cheap on bytes as copying them.

Padded random crops: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
https://arxiv.org/abs/1512.03385
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ._hashing import below
from ._op import Drawn, Move, Size, chance, one_of, within


@dataclass(frozen=True)
class Hflip(Move):
    """Left and right change places."""

    probability: float = chance(0.5)

    def move(self, images: Tensor, drawn: Drawn) -> Tensor:  # noqa: ARG002  nothing is drawn
        """See Move."""
        return images.flip(-1)

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:  # noqa: ARG002  as above
        """See Move."""
        return torch.tensor([[[-1.0, 0, size[1]], [0, 1, 0], [0, 0, 1]]], dtype=torch.float64)


@dataclass(frozen=True)
class Vflip(Move):
    """Top and bottom change places."""

    probability: float = chance(0.5)

    def move(self, images: Tensor, drawn: Drawn) -> Tensor:  # noqa: ARG002  nothing is drawn
        """See Move."""
        return images.flip(-2)

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:  # noqa: ARG002  as above
        """See Move."""
        return torch.tensor([[[1.0, 0, 0], [0, -1, size[0]], [0, 0, 1]]], dtype=torch.float64)


@dataclass(frozen=True)
class Crop(Move):
    """A window of the image, padded on all sides, at any whole offset with equal probability.

    Fields:
        pad: pixels added on each side.
        side: of the window, which is then square; 0: the image's own size.
        mode: what the padding shows: zero (black) or reflect (the image mirrored at its edge).
    """

    pad: int = within(4, 0)
    side: int = within(0, 0)
    mode: str = one_of("zero", "reflect")

    told: ClassVar[str] = "crop {down:+.0f} {right:+.0f}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side and self.probability < 1:
            raise ValueError(f"crop.probability must be 1 where a side is given, got {self.probability}")

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """Offsets of the window from the unpadded image's corner, down and right, -pad and more, int64."""
        offsets = {}
        for stream, (name, full, window) in enumerate(zip(("down", "right"), size, self.size(size), strict=True)):
            if window > full + 2 * self.pad:
                most = f"{full + 2 * self.pad} (image side {full} and padding {self.pad} on both sides)"
                raise ValueError(f"crop.side must be at most {most}, got {window}")
            if self.mode == "reflect" and self.pad >= full:
                raise ValueError(f"crop.pad must be under the image side {full} to be mirrored, got {self.pad}")
            offsets[name] = below(key, stream, full + 2 * self.pad - window + 1) - self.pad
        return offsets

    def size(self, size: Size) -> Size:
        """See Op."""
        return (self.side, self.side) if self.side else size

    def move(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Move; every row of a window is one copy."""
        count, channels, *full = images.shape
        height, width = self.size((full[0], full[1]))
        padded = self._padded(images)
        rows, columns = padded.shape[-2:]
        planes = torch.arange(count * channels).view(count, channels, 1) * rows  # (N, C, 1), in rows
        first = (drawn["down"] + self.pad)[:, None, None] + torch.arange(height)  # (N, 1, h)
        starts = (planes + first) * columns + (drawn["right"] + self.pad)[:, None, None]  # (N, C, h)
        windows = padded.view(-1).as_strided((padded.numel() - width + 1, width), (1, 1))  # one from each pixel on
        cut = windows.index_select(0, starts.view(-1).to(images.device))
        return cut.view(count, channels, height, width)

    def matrix(self, drawn: Drawn, size: Size) -> Tensor:  # noqa: ARG002  the offsets say all
        """See Move."""
        matrix = torch.eye(3, dtype=torch.float64).repeat(len(drawn["down"]), 1, 1)
        matrix[:, 0, 2], matrix[:, 1, 2] = drawn["right"].double(), drawn["down"].double()
        return matrix

    def _padded(self, images: Tensor) -> Tensor:
        """(N, C, H + 2 pad, W + 2 pad), contiguous."""
        pad, (height, width) = self.pad, images.shape[-2:]
        if self.mode == "zero":
            padded = images.new_zeros(*images.shape[:2], height + 2 * pad, width + 2 * pad)
            padded[:, :, pad : pad + height, pad : pad + width] = images
            return padded
        down, right = (_mirrored(side, pad).to(images.device) for side in (height, width))
        return images.index_select(2, down).index_select(3, right).contiguous()


def _mirrored(side: int, pad: int) -> Tensor:
    """Positions -pad to side + pad - 1, mirrored at the first and the last pixel."""
    places = torch.arange(-pad, side + pad).abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)
