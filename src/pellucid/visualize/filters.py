"""Filters: the weights of a convolution that reads the image, as small pictures.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012,
figure 3. https://papers.nips.cc/paper/4824
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice
from pellucid.models import network_of
from pellucid.models.probes import find_layer

SCALES = ("symmetric", "minmax")


@torch.no_grad()
def filters(model: nn.Module, *, layer: str | None = None, scale: str = "symmetric", tiles: bool = False) -> Tensor:
    """Each filter of a convolution as an image, scaled on its own.

    Args:
        model: any network; in any mode, left untouched.
        layer: dotted name of a Conv2d of 1 or 3 input channels; None takes the first of the network.
        scale: symmetric (0.5 is weight zero), or minmax (from the filter's lowest weight to its highest).
        tiles: one gray image for each input channel of each filter, of any number of them, filter by filter.

    Returns:
        (K, C, h, w), in [0, 1], dtype and device of the weights; (K * C, 1, h, w) as tiles. A filter of one value is
        0.5 where that value is zero and the scale symmetric, 0 under minmax.

    Raises:
        ValueError: no such convolution, or one whose filters have other than 1 or 3 channels, without tiles.
    """
    check_choice("scale", scale, SCALES)
    name, conv = convolution(model, layer)
    weight = conv.weight.detach()  # (K, C, h, w)
    if tiles:
        weight = weight.flatten(0, 1)[:, None]  # (K * C, 1, h, w)
    elif weight.shape[1] not in {1, 3}:
        raise ValueError(
            f"layer {name!r} has {weight.shape[1]} input channels; filters are shown as images only for 1 or 3 (ask "
            "for tiles: one gray image a channel)"
        )
    low, high = weight.amin(dim=(1, 2, 3), keepdim=True), weight.amax(dim=(1, 2, 3), keepdim=True)
    if scale == "symmetric":
        top = torch.maximum(high, -low)
        return 0.5 + weight / torch.where(top > 0, 2 * top, 1)
    return (weight - low) / torch.where(high > low, high - low, 1)


def convolution(model: nn.Module, layer: str | None) -> tuple[str, nn.Conv2d]:
    """The one whose weights are shown, and its name."""
    if layer is not None:
        name, module = find_layer(model, layer)
        if not isinstance(module, nn.Conv2d):
            raise ValueError(f"layer {name!r} must be a Conv2d to have filters, got a {type(module).__name__}")
        return name, module
    every = [(name, one) for name, one in network_of(model).named_modules() if isinstance(one, nn.Conv2d)]
    first = next(((name, one) for name, one in every if one.in_channels in {1, 3}), None)
    if first is None:
        raise ValueError(f"the model has no Conv2d of 1 or 3 input channels{_names([name for name, _ in every])}")
    return first


def _names(names: list[str]) -> str:
    return f"; name another with tiles: {', '.join(names[:5])}" if names else ""
