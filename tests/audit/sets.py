"""A linear model of eight classes and labelled noise, all in memory: every number can be recomputed by hand."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.data import ImageSet
from pellucid.data.image_set import ClassLabel, Item
from pellucid.data.sources import Array
from pellucid.models import Model

CLASSES = ("ant", "bee", "cow", "doe", "eel", "fox", "gnu", "hen")
MEAN, STD = 0.5, 0.25


def weight(gain: float = 1.0) -> np.ndarray:
    """(8, 64), float64."""
    return np.random.default_rng(1).normal(0, gain / 8, (len(CLASSES), 64))


class Linear(nn.Module):
    """logits = weight @ pixels; ends in a softmax if asked to."""

    def __init__(self, gain: float = 1.0, *, softmax: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(weight(gain)).float())
        self.softmax = softmax

    def forward(self, images: Tensor) -> Tensor:
        logits = images.flatten(1) @ self.weight.T
        return logits.softmax(dim=1) if self.softmax else logits


class Small(nn.Module):
    """A convolution, an activation, a mean and a linear layer."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.maps = nn.Conv2d(1, 6, 3, padding=1)
            self.activation = activation
            self.head = nn.Linear(6, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.activation(self.maps(images)).mean(dim=(2, 3)))
        return logits


def model(network: nn.Module | None = None) -> Model:
    """A network as a Model, in eval mode."""
    made = Model(network or Linear(), mean=[MEAN], std=[STD], classes=CLASSES, size=8, source={"spec": "linear"})
    return made.eval()


def pixels(count: int) -> np.ndarray:
    """(N, 8, 8), uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)


def image_set(targets: Sequence[int | None], labels: list[str] | None = None, gain: float = 1.0) -> ImageSet:
    """A picture of noise for each target, a position in labels (the model's classes when none are given)."""
    names = labels or list(CLASSES)
    items = tuple(Item(f"pictures/{i:03d}.png", target, str(i)) for i, target in enumerate(targets))
    return ImageSet("memory", tuple(ClassLabel(name) for name in names), items, (Array(pixels(len(targets))),))


def probabilities(count: int, gain: float = 1.0) -> np.ndarray:
    """(N, 8), float64: what the linear model says of the pictures."""
    logits = (pixels(count).reshape(count, -1) / 255 - MEAN) / STD @ weight(gain).T
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def some_targets(count: int, right: float = 0.5) -> list[int]:
    """Labels that the linear model meets about half of the time; the last class has no picture."""
    random = np.random.default_rng(2)
    said = probabilities(count).argmax(axis=1)
    guessed = np.where(random.random(count) < right, said, random.integers(0, 7, count))
    return [int(label) if label < 7 else 6 for label in guessed]
