"""How Grad-CAM++ weighs the channels of a layer.

A. Chattopadhay et al., "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", WACV 2018,
equations 5 and 19. https://arxiv.org/abs/1710.11063
"""

import torch
from torch import Tensor


def plus_plus(slopes: Tensor, curvature: Tensor, maps: Tensor, *, normalise: bool) -> Tensor:
    """The weighted sum of maps, (R, h, w), in float32 at least: half precision holds no sum over a large map.

    Args:
        slopes: (R, K, h, w), g, the score's gradient.
        curvature: (R, K, h, w), g^3 / g^2 where that is: g itself, or of several copies mean(g^3) / mean(g^2).
        maps: (R, K, h, w), f.
        normalise: divide the alphas of each channel by their sum where the gradient is positive.
    """
    slopes, curvature, maps = (
        each.to(torch.promote_types(each.dtype, torch.float32)) for each in (slopes, curvature, maps)
    )
    denominator = 2 + maps.sum(dim=(2, 3), keepdim=True) * curvature  # both sides of alpha divided by g^2
    counts = (slopes > 0) & (denominator != 0)  # elsewhere ReLU(g) or alpha is zero
    alphas = torch.where(counts, 1 / torch.where(counts, denominator, 1), 0)
    if normalise:
        sums = alphas.sum(dim=(2, 3), keepdim=True)
        alphas = torch.where(sums == 0, 0, alphas / torch.where(sums == 0, 1, sums))
    weights = (alphas * slopes).sum(dim=(2, 3), keepdim=True)  # (R, K, 1, 1)
    return (weights * maps).sum(dim=1)
