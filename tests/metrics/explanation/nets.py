"""Small nets whose answers are known, and what all measures are asked with."""

from typing import Any

import torch
from torch import Tensor, nn

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
HEAT = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
TARGETS = torch.tensor([4, 1, 0])


class Linear(nn.Module):
    """logits[n, k] = sum(weight[k] * images[n])."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("kchw,nchw->nk", self.weight, images)


class Small(nn.Module):
    """Convolution, norm, a layer defined last and run in the middle, and a head; five classes, float64."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
            self.head = nn.Linear(8, 5)
            self.middle = nn.Conv2d(6, 8, 3, stride=2)
            self.norm.running_mean = torch.randn(6) / 3
            self.norm.running_var = torch.rand(6) + 0.5
            self.scale = nn.Parameter(torch.randn(8, 1, 1))
        self.double().eval()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.scale * self.middle(self.norm(self.first(images)).tanh()).tanh()
        logits: Tensor = self.head(maps.mean(dim=(2, 3)))
        return logits


def gradient(model: nn.Module, images: Tensor, targets: Any) -> Tensor:
    """The score's slope, summed over the channels: the plainest of methods."""
    with torch.inference_mode(False), torch.enable_grad():
        images = images.clone().requires_grad_()
        score = model(images).gather(1, targets[:, None]).sum()
        return torch.autograd.grad(score, images)[0].sum(dim=1)


def state(model: nn.Module) -> list[Any]:
    """Everything a measure might forget to put back."""
    told: list[Any] = [(p.requires_grad, p.grad is None, p._version, p.sum().item()) for p in model.parameters()]
    told += [(buffer._version, buffer.sum().item()) for buffer in model.buffers()]
    told += [torch.random.get_rng_state().sum().item(), torch.is_grad_enabled()]
    return told + [(module.training, len(module._forward_hooks)) for module in model.modules()]
