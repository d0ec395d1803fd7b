"""Small nets whose features are known, and picture files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pellucid.models import Model

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def small(channels: int = 3, seed: int = 0) -> nn.Sequential:
    """Two convolutions, pooled, and two linear layers, with ReLUs that work in place."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, stride=2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 12),
            nn.ReLU(inplace=True),
            nn.Linear(12, 5),
        )
    return net.eval()


def model(channels: int = 3, seed: int = 0, *, name: str = "small", size: int = 8) -> Model:
    mean, std = MEAN[:channels], STD[:channels]
    return Model(small(channels, seed), mean=mean, std=std, classes=tuple("abcde"), size=size, source={"spec": name})


class Tokens(nn.Module):
    """Patches of 2 x 2 pixels as tokens, behind `prefix` tokens of their own; the blocks pass them on."""

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, 2, stride=2)
        self.first = nn.Parameter(torch.arange(4.0 * prefix).view(1, prefix, 4))
        self.block = nn.Identity()
        self.last = nn.Identity()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images).flatten(2).transpose(1, 2)  # (N, T, 4)
        found: Tensor = self.block(torch.cat([self.first.expand(len(images), -1, -1), tokens], dim=1))
        last: Tensor = self.last(found.mean(dim=1))
        return last


def some_images(count: int = 20, channels: int = 3, side: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def write_pictures(folder: Path, names: Sequence[str], seed: int = 0, side: int = 8) -> None:
    """PNG files of noise, each its own."""
    for number, name in enumerate(names):
        write_picture(folder / name, seed * 1000 + number, side)


def write_picture(path: Path, seed: int, side: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
