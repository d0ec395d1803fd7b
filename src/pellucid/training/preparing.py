"""What a network's first layer needs to know of the training images is fitted here, on them alone."""

import torch
from torch import nn

from pellucid.data import Pixels, Zca, mean_image
from pellucid.data.zca import memory_needed
from pellucid.models import Model
from pellucid.models.prepared import Prepared

FIRST = ("mean_image", "per_image", "zca")
"""Ways to normalise that a layer of the network does, where it has one for it."""

SAMPLE = 5000
"""Images that `fit_input` shows at most, from all over the set, which may be sorted by class."""

BUDGET = 4 * 2**30
"""Bytes that fitting ZCA may take."""


def with_first(model: str, way: str) -> str:
    """A network's name, told to prepare its images in a way of FIRST.

    Raises:
        ValueError: the network has no layer for it.
    """
    name = model.removeprefix("zoo:").partition(",")[0]
    if name != "ladder_net":
        raise ValueError(
            f"normalization {way} needs a network that keeps it in its first layer: --model ladder_net, got {model!r}"
        )
    return f"{model},first={way}"


def fit_first(network: nn.Module, pixels: Pixels, *, epsilon: float = 0.01) -> None:
    """Fill a network's first layers with what they need of the training images; those without need are left.

    Args:
        network: its `Prepared` layers are filled.
        pixels: the training images, at least as large as the layers look at; of larger ones the middle counts.
        epsilon: added to every variance by zca, at least 0.

    Raises:
        ValueError: as Zca.fit.
    """
    for layer in network.modules():
        if not isinstance(layer, Prepared) or layer.kind not in {"mean_image", "zca"}:
            continue
        side = layer.mean.shape[-1]
        top, left = ((full - side) // 2 for full in pixels.pixels.shape[-2:])
        seen = pixels.pixels[..., top : top + side, left : left + side]
        mean = mean_image(seen)
        layer.fill(mean, Zca(epsilon=epsilon, budget=BUDGET).fit(seen).matrix() if layer.kind == "zca" else None)


def fit_input(model: Model, pixels: Pixels) -> None:
    """Show a network some normalised training images, where its first layer is fitted to them, not learned."""
    fit = getattr(model.network, "fit_input", None)
    if fit is not None:
        spread = torch.linspace(0, len(pixels) - 1, min(SAMPLE, len(pixels)), dtype=torch.float64).long()
        fit((pixels.images(spread).to(model.mean.device) - model.mean) / model.std)


def check_memory(shape: torch.Size) -> None:
    """Refuse images (C, H, W) that would need more than BUDGET to be whitened, before any work is done."""
    values = shape.numel()
    if memory_needed(values) > BUDGET:
        raise ValueError(
            f"norm zca needs {memory_needed(values):,} bytes for images of {values:,} values, the budget is "
            f"{BUDGET:,}: give smaller images with --size, or another norm"
        )
