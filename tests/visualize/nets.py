"""Small models whose answers are known."""

import torch
from torch import Tensor, nn

from pellucid.models import Model


class Linear(nn.Module):
    """logits[n, k] = sum(weight[k] * images[n])."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.passes = 0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.passes += len(images)
        return torch.einsum("kchw,nchw->nk", self.weight, images)


class Dead(nn.Module):
    """A ReLU that no start reaches: its input is far below zero."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.conv.bias.fill_(-20.0)  # type: ignore[union-attr]
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.relu(self.conv(images)).mean(dim=(2, 3))
        return pooled


def small(seed: int = 0) -> Model:
    """A seeded convolutional net of four classes for 3 x 16 x 16 images, with in-place ReLU."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 8, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )
    return wrapped(net.eval(), classes=4, size=(16, 16))


def wrapped(
    net: nn.Module,
    *,
    classes: int = 1,
    size: tuple[int, int] = (4, 4),
    mean: tuple[float, ...] = (0.4, 0.5, 0.6),
    std: tuple[float, ...] = (0.2, 0.25, 0.3),
) -> Model:
    """A Model around a network."""
    return Model(net, mean=mean, std=std, classes=[str(n) for n in range(classes)], size=size).eval()
