"""What the class activation maps share: which layer, how its output is read as maps, and the way back to pixels."""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import Targets
from pellucid.models import Grid, Plan, cam_layers, differentiate, evaluate, find_grid, scorer, unvaried
from pellucid.models._chunks import Fold
from pellucid.models.probes import activations, find_layer

At: TypeAlias = tuple[str, Grid]
"""A layer's dotted name, and how its output is read as maps."""

Weigh: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(gradients (R, K, h, w), maps (R, K, h, w)) -> (R, ...)."""


def seen_layers(model: nn.Module, images: Tensor, layer: str | None, grid: str) -> list[At]:
    """The layers asked for (several with commas), or the deepest that suits, each with the grid of its maps."""
    size = tuple(images.shape[1:])
    if layer is None:
        suited = cam_layers(model, size)
        if not suited:
            raise ValueError("the model has no late layer with maps (N, C, h, w): name a layer, or use saliency")
        layer = suited[0]
    if not isinstance(layer, str):  # the module itself
        layer = find_layer(model, layer)[0]
    names = [name.strip() for name in layer.split(",")]
    return [(name, find_grid(model, name, size, grid)) for name in names]


def from_layers(
    model: nn.Module, images: Tensor, layer: str | None, grid: str, see: Callable[[At], Tensor], *, relu: bool
) -> Tensor:
    """The heat (N, H, W) of the layers asked for, `see` giving each one's (N, h, w), cut below zero if so wanted."""
    heats = [see(at) for at in seen_layers(model, images, layer, grid)]
    return enlarged(combined([heat.relu() if relu else heat for heat in heats]).to(images), images.shape[-2:])


def weighed(
    model: nn.Module,
    plan: Plan,
    targets: Targets,
    at: At,
    weigh: Weigh,
    *,
    objective: str = "score",
    fold: Fold | None = None,
) -> Tensor:
    """What `weigh` makes of a layer's maps and of the score's gradient with respect to them, (P, N, ...).

    With a fold its sum over the variants, (N, ...).
    """
    name, grid = at

    def read(slope: Tensor, output: Tensor, _rows: Tensor) -> Tensor:
        return weigh(_wide(grid.maps(slope)), _wide(grid.maps(output)))

    return differentiate(model, plan, scorer(targets, objective), read, at=name, fold=fold)


def _wide(values: Tensor) -> Tensor:
    """Float32 for half precision, whose sums and products overflow."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def maps_of(model: nn.Module, images: Tensor, at: At) -> Tensor:
    """A layer's maps (N, K, h, w) for the images as they are."""
    name, grid = at
    with activations(model, [name]) as recorded:
        return evaluate(model, unvaried(images), lambda _outputs, _rows: _wide(grid.maps(recorded[name])))[0]


def combined(heats: list[Tensor]) -> Tensor:
    """The heat of one layer; of several the mean, each scaled to a largest magnitude of 1, at the largest's size."""
    if len(heats) == 1:
        return heats[0]
    sides = max((heat.shape[-2:] for heat in heats), key=lambda side: side[0] * side[1])
    scaled = [enlarged(scaled_to_one(heat), sides) for heat in heats]
    return sum(scaled[1:], scaled[0]) / len(scaled)


def scaled_to_one(heat: Tensor) -> Tensor:
    """(N, h, w), each with a largest magnitude of 1; an empty one stays empty."""
    return heat / heat.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)


def enlarged(heat: Tensor, sides: tuple[int, ...]) -> Tensor:
    """(N, h, w) to (N, H, W), bilinear."""
    return F.interpolate(heat[:, None], tuple(sides), mode="bilinear", align_corners=False)[:, 0]
