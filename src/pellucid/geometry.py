"""The frame a model sees: what `data` makes of a picture and `models` expects, agreed on in one place."""

from collections.abc import Sequence
from dataclasses import dataclass

from pellucid.checks import check_choice, check_range

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Geometry:
    """Resize, crop and channels between a picture file and an image (C, H, W)."""

    size: tuple[int, int]  # (H, W) of the image a model gets
    resize: int | tuple[int, int] | None = None  # shorter side, or (H, W), before the crop; None: straight to size
    interpolation: str = "bilinear"
    channels: int = 3  # 1: gray, 3: RGB

    def __post_init__(self) -> None:
        for side in self.size:
            check_range("size", side, 1, 16384)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if self.channels not in {1, 3}:
            raise ValueError(f"channels must be 1 or 3 to read pictures, got {self.channels}")
        resized = (self.resize,) if isinstance(self.resize, int) else self.resize or ()
        least = self.size if len(resized) > 1 else (max(self.size),)
        if any(side < crop for side, crop in zip(resized, least, strict=False)):
            raise ValueError(f"resize must not be smaller than the crop {self.size}, got {self.resize}")

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of a picture of height x width after the resize and before the crop."""
        if self.resize is None:
            return self.size
        if isinstance(self.resize, tuple):
            return self.resize
        if height <= width:
            return self.resize, max(self.resize, self.resize * width // height)
        return max(self.resize, self.resize * height // width), self.resize


def sides(size: int | Sequence[int]) -> tuple[int, int]:
    """(H, W) from one number or two."""
    if isinstance(size, int):
        return size, size
    if len(size) != 2:
        raise ValueError(f"size must be one number or (height, width), got {tuple(size)}")
    return int(size[0]), int(size[1])
