"""Small nets with a last linear layer, and a linear one whose every score is known."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """logits[n, k] = sum(weight[k] * images[n]) + bias[k]."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.head = nn.Linear(weight.shape[1], len(weight), bias=bias is not None).to(weight.dtype)
        self.head.weight.data.copy_(weight)
        if bias is not None:
            self.head.bias.data.copy_(bias)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.flat(images))
        return logits


class Given(nn.Module):
    """Images (N, K, 1, 1) are their own logits: 10 times their values."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images[:, :, 0, 0]


def small(classes: int = 5) -> nn.Sequential:
    """A convolution, pooled, and two linear layers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 12),
            nn.ReLU(),
            nn.Linear(12, classes),
        )
    return net.eval()


def some_images(count: int = 60, side: int = 8, seed: int = 0, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def some_targets(count: int = 60, classes: int = 3) -> Tensor:
    return torch.arange(count) % classes
