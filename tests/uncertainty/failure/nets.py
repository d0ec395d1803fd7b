"""Small classifiers whose features, probabilities or errors are known."""

import torch
from torch import Tensor, nn


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


def small(classes: int = 4) -> nn.Sequential:
    """A convolution, batch norm, dropout, two linear layers."""
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
    with torch.no_grad():  # every class is predicted, and some answers are sure
        logits = net(some_images(200, seed=9))
        spread = logits.std(dim=0) / 2
        *_, weight, bias = net.parameters()
        weight.div_(spread[:, None])
        bias.sub_(logits.mean(dim=0)).div_(spread)
    return net


def some_images(count: int = 200, seed: int = 0, shape: tuple[int, ...] = (3, 4, 4)) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def answers(net: nn.Module, images: Tensor, wrong: float = 0.4, classes: int = 4) -> Tensor:
    """What the net says, but for a share of the images another class."""
    with torch.no_grad():
        said: Tensor = net(images).argmax(dim=1)
    is_wrong = torch.rand(len(images), generator=torch.Generator().manual_seed(7)) < wrong
    return torch.where(is_wrong, (said + 1) % classes, said)
