"""Small nets that drop, in every spelling."""

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


def small_images(count: int = 4, side: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
