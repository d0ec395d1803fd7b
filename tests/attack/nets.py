"""Small nets to be attacked."""

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """logits = images . weight + bias: every attack's optimum is known."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)  # (K, C, H, W)
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("kchw,nchw->nk", self.weight.to(images), images) + self.bias.to(images)


def small_net(seed: int = 0, classes: int = 5, channels: int = 3) -> nn.Module:
    """A seeded net of one hidden convolution, for images of any size."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, classes),
        )
        for parameter in net.parameters():  # as drawn, such a net calls every image the same
            parameter.data *= 3
    return net.eval()


def rough_net(seed: int = 0, classes: int = 6, side: int = 8) -> nn.Module:
    """A seeded net whose loss bends so much that attacks differ: of some images one finds what another does not."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = nn.Linear(3 * side * side, 32)
        net = nn.Sequential(
            nn.Flatten(),
            first,
            nn.Tanh(),
            nn.Linear(32, 32),
            nn.Tanh(),
            nn.Linear(32, classes),
        )
        for parameter in net.parameters():
            parameter.data *= 4
        first.weight.data -= first.weight.data.mean(dim=1, keepdim=True)  # else the mean brightness decides alone
    return net.eval()


def small_images(count: int = 4, side: int = 12, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def called(net: nn.Module, images: Tensor) -> Tensor:
    """The classes the net calls: labels that are all right."""
    with torch.no_grad():
        found: Tensor = net(images).argmax(dim=1)
    return found
