"""Operations that change values and no places: light, colour, blur, noise and erased squares.

Erased squares: T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
https://arxiv.org/abs/1708.04552
Hue, saturation and value: A. Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978. https://doi.org/10.1145/965139.807361
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ._hashing import below, normal, one_by_one, uniform
from ._op import Drawn, Paint, Size, chance, within

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to gray (ITU-R BT.601)."""


@dataclass(frozen=True)
class Brightness(Paint):
    """Values times a factor from 1 - fraction to 1 + fraction."""

    fraction: float = within(0.5, 0, 1)

    told: ClassVar[str] = "brightness x{light:.2f}"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002  any size alike, here and below
        """The factor."""
        return {"light": uniform(key, 0, 1 - self.fraction, 1 + self.fraction)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint."""
        return (images * _each(drawn["light"], images)).clamp_(0, 1)


@dataclass(frozen=True)
class Contrast(Paint):
    """Distances from the image's mean gray times a factor from 1 - fraction to 1 + fraction."""

    fraction: float = within(0.5, 0, 1)

    told: ClassVar[str] = "contrast x{contrast:.2f}"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002
        """The factor."""
        return {"contrast": uniform(key, 0, 1 - self.fraction, 1 + self.fraction)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint."""
        rows = _gray(images).double().mean(dim=3, keepdim=True)  # row by row in float64: the same in any batch
        return _away_from(rows.mean(dim=2, keepdim=True).to(images), images, drawn["contrast"])


@dataclass(frozen=True)
class Saturation(Paint):
    """Distances from the pixel's own gray times a factor from 1 - fraction to 1 + fraction; gray images stay."""

    fraction: float = within(0.5, 0, 1)

    told: ClassVar[str] = "saturation x{saturation:.2f}"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002
        """The factor."""
        return {"saturation": uniform(key, 0, 1 - self.fraction, 1 + self.fraction)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint."""
        if not _has_colour(images, "saturation"):
            return images
        return _away_from(_gray(images), images, drawn["saturation"])


@dataclass(frozen=True)
class Hue(Paint):
    """Colours turned around the circle of hues by up to a fraction of it, either way; gray images stay."""

    fraction: float = within(0.1, 0, 0.5)

    told: ClassVar[str] = "hue {turn:+.2f}"

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002
        """Fraction of the circle, positive from red to yellow."""
        return {"turn": uniform(key, 0, -self.fraction, self.fraction)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint; value and saturation (of HSV) stay."""
        if not _has_colour(images, "hue"):
            return images
        value, chroma, hue = _hue(images)
        hue = hue + _each(drawn["turn"] * 6, images)[:, 0]
        turned = torch.empty_like(images)
        for channel, offset in enumerate((5, 3, 1)):
            place = torch.remainder(hue + offset, 6)
            weight = torch.minimum(place, 4 - place).clamp_(0, 1)
            torch.sub(value, weight.mul_(chroma), out=turned[:, channel])
        return turned.clamp_(0, 1)


@dataclass(frozen=True)
class Solarise(Paint):
    """Values from a threshold on turned into their negative."""

    threshold: float = within(0.5, 0, 1)
    probability: float = chance(0.5)

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:  # noqa: ARG002  nothing is drawn
        """See Paint."""
        return torch.where(images >= self.threshold, 1 - images, images)


@dataclass(frozen=True)
class Blur(Paint):
    """A Gaussian blur over a window of side pixels, its edges mirrored.

    Fields:
        side: of the window, an odd number.
        least: smallest standard deviation of the Gaussian, in pixels.
        most: largest.
    """

    side: int = within(3, 1)
    least: float = within(0.1, 0.01)
    most: float = within(2.0, 0.01)

    told: ClassVar[str] = "blur {sigma:.1f} px"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.side % 2 == 0:
            raise ValueError(f"blur.side must be odd, got {self.side}")
        if self.least > self.most:
            raise ValueError(f"blur.least must be at most most, got {self.least} and {self.most}")

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """The standard deviation in pixels."""
        if self.side // 2 >= min(size):
            raise ValueError(f"blur.side must be under twice the image's side {min(size)}, got {self.side}")
        return {"sigma": uniform(key, 0, self.least, self.most)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint."""
        far = self.side // 2
        steps = [one_by_one(math.exp, -0.5 * (step / drawn["sigma"]) ** 2) for step in range(far + 1)]
        total = steps[0] + 2 * sum(steps[1:], torch.zeros_like(steps[0]))
        weights = [_each(step / total, images) for step in steps]
        for axis in (2, 3):
            mirrored = torch.nn.functional.pad(images, [far, far, 0, 0] if axis == 3 else [0, 0, far, far], "reflect")
            full = images.shape[axis]
            blurred = images * weights[0]
            for step in range(1, far + 1):
                both = mirrored.narrow(axis, far - step, full) + mirrored.narrow(axis, far + step, full)
                blurred += both.mul_(weights[step])
            images = blurred
        return images.clamp_(0, 1)


@dataclass(frozen=True)
class Noise(Paint):
    """Gaussian noise, independent in every value."""

    std: float = within(0.05, 0, 1)

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002
        """The key of the image's noise, int64."""
        return {"key": key}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint."""
        noise = normal(drawn["key"].to(images.device), images[0].numel()).view(images.shape)
        return noise.mul_(self.std).to(images.dtype).add_(images).clamp_(0, 1)


@dataclass(frozen=True)
class Erase(Paint):
    """A square painted gray; its middle lies on any pixel with equal probability, so edges cut some of them.

    Fields:
        side: of the square, in pixels.
        fill: the gray painted, in [0, 1]; brought to the nearest 255th, so that bytes and floats get the same.
    """

    side: int = within(8, 1)
    fill: float = within(0.5, 0, 1)

    told: ClassVar[str] = "erase at {down:.0f} {right:.0f}"
    keeps_bytes: ClassVar[bool] = True

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:
        """The square's top left corner, in pixels, int64; it may lie outside."""
        names = zip(("down", "right"), size, strict=True)
        return {name: below(key, stream, full) - self.side // 2 for stream, (name, full) in enumerate(names)}

    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """See Paint; also works on uint8."""
        inside = []
        for name, full in zip(("down", "right"), images.shape[-2:], strict=True):
            place = torch.arange(full) - drawn[name][:, None]  # (N, side)
            inside.append(((place >= 0) & (place < self.side)).to(images.device))
        square = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # (N, 1, H, W)
        level = round(self.fill * 255)
        return images.masked_fill(square, level / 255 if images.is_floating_point() else level)


def _each(values: Tensor, images: Tensor) -> Tensor:
    """(N, 1, 1, 1), of the images' dtype and device."""
    return values.to(images)[:, None, None, None]


def _away_from(centre: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return (images - centre).mul_(_each(factor, images)).add_(centre).clamp_(0, 1)


def _gray(images: Tensor) -> Tensor:
    """(N, 1, H, W): the luma of RGB, the mean of any other channels."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    red, green, blue = (images[:, channel, None] * weight for channel, weight in enumerate(LUMA))
    return red.add_(green).add_(blue)


def _has_colour(images: Tensor, name: str) -> bool:
    channels = images.shape[1]
    if channels not in {1, 3}:
        raise ValueError(f"{name} must be asked of images with 1 or 3 channels, got {channels}")
    return channels == 3


def _hue(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, chroma (largest less smallest channel) and hue in sixths of the circle, (N, H, W) each."""
    red, green, blue = images.unbind(1)
    value, low = images.amax(dim=1), images.amin(dim=1)
    chroma = value - low
    scale = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(value == green, (blue - red) / scale + 2, (red - green) / scale + 4)
    return value, chroma, torch.where(value == red, (green - blue) / scale, hue)
