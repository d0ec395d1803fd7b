"""Ways a picture may be met: turned, nearer, aside, brighter, noisy; drawn once, for all images."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_range
from pellucid.models import Plan


@dataclass(frozen=True)
class Spread:
    """How far views reach; the docstring of `eot` tells each."""

    rotation: float
    scale: float
    shift: float
    brightness: float
    noise: float

    def check(self) -> None:
        """Refuse what is out of range."""
        check_range("rotation", self.rotation, 0, 180)
        if not 0 <= self.scale < 1:
            raise ValueError(
                f"scale must be at least 0 and below 1, got {self.scale}: sizes go from 1 - scale to 1 + it"
            )
        check_range("shift", self.shift, 0, 1)
        check_range("brightness", self.brightness, 0, 1)
        check_range("noise", self.noise, 0, 1)


@dataclass(frozen=True)
class Views:
    """S ways to meet an image; made by `views`."""

    places: Tensor  # (S, 2, 3), from a place in the view to one in the image, in [-1, 1]; on the images' device
    brightness: Tensor  # (S,), added
    noise: Tensor  # (S, C, H, W), added
    is_lit: bool  # whether anything is added

    def __len__(self) -> int:
        return len(self.places)

    def plan(self, images: Tensor) -> Plan:
        """Every view of every image."""
        return Plan(images, len(self), lambda some, numbers, _rows: self.of(some, numbers))

    def of(self, images: Tensor, numbers: Tensor) -> Tensor:
        """These views (p,) of the images (n, C, H, W), (p, n, C, H, W), in [0, 1]; beyond its edge an image goes on."""
        count, channels, height, width = images.shape
        grid = F.affine_grid(self.places[numbers], [len(numbers), 1, height, width], align_corners=False)
        stacked = images.reshape(1, count * channels, height, width).expand(len(numbers), -1, -1, -1)
        seen = F.grid_sample(stacked, grid, padding_mode="border", align_corners=False)  # (p, n * C, H, W)
        seen = seen.view(len(numbers), *images.shape)
        if not self.is_lit:  # a white pixel that rounding lifts above 1 would lose its slope to the clamp
            return seen
        light = self.brightness[numbers].view(-1, 1, 1, 1, 1)
        return (seen + light + self.noise[numbers][:, None]).clamp(0, 1)

    def pulled_back(self, images: Tensor, numbers: Tensor, gradient: Tensor) -> Tensor:
        """The gradient of the images (n, C, H, W), summed over these views of them, from that of the views."""
        with torch.enable_grad():
            source = images.clone().requires_grad_()
            seen = self.of(source, numbers)
        return torch.autograd.grad(seen, source, gradient)[0]


def views(images: Tensor, samples: int, spread: Spread, source: torch.Generator) -> Views:
    """Draw so many views of images of this shape; every quantity uniformly, the noise normally."""
    _, channels, height, width = images.shape

    def draw() -> Tensor:
        return 2 * torch.rand(samples, generator=source, device=source.device, dtype=torch.float64) - 1

    angle, size = draw() * math.radians(spread.rotation), 1 + draw() * spread.scale
    right, down = 2 * spread.shift * draw(), 2 * spread.shift * draw()  # a side is 2 long
    cos, sin = angle.cos() / size, angle.sin() / size
    across, along = [cos, -sin * height / width, right], [sin * width / height, cos, down]
    places = torch.stack([torch.stack(across, dim=1), torch.stack(along, dim=1)], dim=1)  # (S, 2, 3)
    light = spread.brightness * draw()
    grain = torch.randn(samples, channels, height, width, generator=source, device=source.device)
    is_lit = spread.brightness > 0 or spread.noise > 0
    return Views(places.to(images), light.to(images), (spread.noise * grain).to(images), is_lit)
