"""Batch norm's running mean and variance, taken anew where a network's weights are no longer those they came from.

P. Izmailov, D. Podoprikhin, T. Garipov, D. Vetrov, A. Wilson, "Averaging Weights Leads to Wider Optima and Better
Generalization", UAI 2018, section 3.2. https://arxiv.org/abs/1803.05407
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ._pictures import Pictures, images_at

BATCH = 128
"""Images whose statistics are taken together; a part of the method, not of its memory."""


def norms_of(network: nn.Module) -> list[nn.Module]:
    """Its batch norms that keep running statistics."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def spread_over(count: int, most: int, generator: torch.Generator) -> Tensor:
    """Rows (n,), int64, of at most so many of a set's images, in an order that mixes its classes."""
    return torch.randperm(count, generator=generator, device=generator.device).cpu()[:most]


@torch.no_grad()
def refit(network: nn.Module, images: Pictures) -> None:
    """Give every batch norm the mean statistics of the batches of these images, in place; all else stays in eval mode.

    Args:
        network: in eval mode, and so it is left.
        images: at least 2, in an order that mixes the classes.
    """
    norms = norms_of(network)
    momenta = [norm.momentum for norm in norms]
    rows = torch.arange(len(images))
    try:
        for norm in norms:
            norm.reset_running_stats()  # type: ignore[operator]
            norm.momentum = None  # type: ignore[assignment]  # the mean over the batches
            norm.train()
        for some in torch.tensor_split(rows, math.ceil(len(rows) / BATCH)):
            network(images_at(images, some, network))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
