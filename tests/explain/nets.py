"""Small nets whose explanations are known, and one written in every spelling of ReLU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Module):
    """logits[n, k] = sum(weight[k] * images[n]) + bias[k]."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("kchw,nchw->nk", self.weight.to(images), images)


class GapNet(nn.Module):
    """Convolution, global mean, linear: its class activation map is known."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 8, 3, stride=2))
            self.head = nn.Linear(8, 5)
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images).mean(dim=(2, 3)))
        return logits


class Functional(nn.Module):
    """A net with functional and in-place ReLU, a reused module and a tuple inside."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.split = Split()
            self.norm = nn.BatchNorm2d(8)
            self.relu = nn.ReLU(inplace=True)
            self.head = nn.Linear(8, 5)
            self.norm.running_mean = torch.randn(8) / 3
            self.norm.running_var = torch.rand(8) + 0.5
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.first(images))
        y, half = self.split(self.norm(self.second(x)))
        x = self.relu(y + x)
        x = self.relu(self.second(x) + half)
        x = self.second(x).relu_()
        logits: Tensor = self.head(F.max_pool2d(x, 2).mean(dim=(2, 3)))
        return logits


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x / 2


def small_net(method: str) -> nn.Module:
    """A seeded net of five classes that the method suits."""
    suited: dict[str, type[nn.Module]] = {}
    return suited.get(method, Functional)()
