"""Small nets: some drop, in every spelling; of others the features, probabilities or errors are known."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Functional(nn.Module):
    """Dropout as a function, behind a module that is called once; a skip around the first."""

    def __init__(self, rate: float = 0.5, *, norm: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
            self.head = nn.Linear(8, 5)
        self.rate = rate
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(images)))
        x = F.dropout(x, self.rate, training=self.training)
        x = x + F.dropout2d(self.second(x), self.rate, training=self.training)
        logits: Tensor = self.head(3 * x.mean(dim=(2, 3)))
        return logits


def modules(rate: float = 0.5) -> nn.Sequential:
    """Two dropout modules behind a convolution."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(rate),
            nn.Linear(24, 16),
            nn.ReLU(inplace=True),
            nn.Dropout(rate),
            nn.Linear(16, 5),
        )
    return net.eval()


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


class Shares(nn.Module):
    """One feature f, the first pixel, and the probabilities (f, 1 - f) as a linear layer of it."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.body = nn.Linear(2, 1, bias=False)
        self.head = nn.Linear(1, 2)
        self.body.weight.data = torch.tensor([[1.0, 0.0]])
        self.head.weight.data, self.head.bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([0.0, 1.0])
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        rows: Tensor = self.head(self.body(self.flat(images)))
        return rows


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


def varied(classes: int = 4) -> nn.Sequential:
    """The same with batch norm and dropout; every class is predicted, and some answers are sure."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(24, 12),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(12, classes),
        )
    net.eval()
    with torch.no_grad():
        logits = net(small_images(200, 4, seed=9))
        spread = logits.std(dim=0) / 2
        *_, weight, bias = net.parameters()
        weight.div_(spread[:, None])
        bias.sub_(logits.mean(dim=0)).div_(spread)
    return net


def small_images(count: int = 4, side: int = 8, seed: int = 0, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def some_targets(count: int = 60, classes: int = 3) -> Tensor:
    return torch.arange(count) % classes


def answers(net: nn.Module, images: Tensor, wrong: float = 0.4, classes: int = 4) -> Tensor:
    """What the net says, but for a share of the images another class."""
    with torch.no_grad():
        said: Tensor = net(images).argmax(dim=1)
    is_wrong = torch.rand(len(images), generator=torch.Generator().manual_seed(7)) < wrong
    return torch.where(is_wrong, (said + 1) % classes, said)
