"""Small nets whose explanations are known, and one written in every spelling of ReLU."""

from collections.abc import Callable

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


def bright() -> nn.Module:
    """A net whose layer 0 has large maps: the sum of one is beyond the largest float16."""
    body, head = nn.Conv2d(3, 4, 1, bias=False), nn.Linear(4, 2, bias=False)
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        body.weight.copy_(100 + 100 * torch.rand(4, 3, 1, 1, generator=source))
        head.weight.copy_(torch.randn(2, 4, generator=source))
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()


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


class Attending(nn.Module):
    """A transformer of two layers over patches of 4 x 4, behind a class token unless the answer is their mean."""

    def __init__(self, seed: int = 0, heads: int = 2, has_class_token: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.heads = heads
            self.patches = nn.Conv2d(3, 8, 4, stride=4)
            self.token = nn.Parameter(torch.randn(1, int(has_class_token), 8))
            self.mixed = nn.ModuleList(nn.Linear(8, 24) for _ in range(2))
            self.head = nn.Linear(8, 5)
            for parameter in self.mixed.parameters():
                nn.init.normal_(parameter)
        self.eval()

    def weights(self, x: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Attention (N, heads, T, T) and values (N, heads, T, K) of tokens (N, T, 8)."""
        query, key, value = self.mixed[layer](x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1), value

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        for layer in range(2):
            weights, value = self.weights(x, layer)
            x = x + (weights @ value).transpose(1, 2).flatten(2)
        logits: Tensor = self.head(x[:, 0] if self.token.shape[1] else x.mean(dim=1))
        return logits


def small_net(method: str) -> nn.Module:
    """A seeded net of five classes that the method suits."""
    suited: dict[str, Callable[[], nn.Module]] = {
        "attention_rollout": Attending,
        "cam": lambda: GapNet().float(),
    }
    return suited.get(method, Functional)()
