"""What the class activation maps share: which layer, how its output is read as maps, and the way back to pixels."""

from collections.abc import Callable
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import Targets
from pellucid.models import Grid, Plan, cam_layers, differentiate, find_grid, scorer

Weigh: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(gradients (R, K, h, w), maps (R, K, h, w)) -> (R, ...)."""


def seen_layers(model: nn.Module, images: Tensor, layer: str | None, grid: str) -> list[tuple[str, Grid]]:
    """The layers asked for (several with commas), or the deepest that suits, each with the grid of its maps."""
    size = tuple(images.shape[1:])
    if layer is None:
        suited = cam_layers(model, size)
        if not suited:
            raise ValueError("the model has no late layer with maps (N, C, h, w): name a layer, or use saliency")
        layer = suited[0]
    names = [name.strip() for name in layer.split(",")]
    return [(name, find_grid(model, name, size, grid)) for name in names]


def weighed(model: nn.Module, plan: Plan, targets: Targets, at: tuple[str, Grid], weigh: Weigh) -> Tensor:
    """What `weigh` makes of a layer's maps and of the score's gradient with respect to them, (P, N, ...)."""
    name, grid = at

    def read(slope: Tensor, output: Tensor, _rows: Tensor) -> Tensor:
        return weigh(grid.maps(slope), grid.maps(output))

    return differentiate(model, plan, scorer(targets), read, at=name)


def combined(heats: list[Tensor]) -> Tensor:
    """The heat of one layer; of several the mean, each scaled to a largest magnitude of 1, at the largest's size."""
    if len(heats) == 1:
        return heats[0]
    sides = max((heat.shape[-2:] for heat in heats), key=lambda side: side[0] * side[1])
    scaled = [enlarged(heat / heat.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12), sides) for heat in heats]
    return sum(scaled[1:], scaled[0]) / len(scaled)


def enlarged(heat: Tensor, sides: tuple[int, ...]) -> Tensor:
    """(N, h, w) to (N, H, W), bilinear."""
    return F.interpolate(heat[:, None], tuple(sides), mode="bilinear", align_corners=False)[:, 0]
