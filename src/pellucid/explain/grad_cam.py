"""Grad-CAM: channels of a layer, weighted by how much the score wants more of them.

R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
equations 1 and 2. https://arxiv.org/abs/1610.02391
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import Targets, check_eval, check_images, check_targets
from pellucid.models import cam_layers
from pellucid.models.probes import graph_from

from ._gradient import gradient, read_targets


def grad_cam(
    model: nn.Module, images: Tensor, targets: Targets, *, layer: str | None = None, relu: bool = True
) -> Tensor:
    """A layer's maps, each weighted by the mean gradient of the score over it, summed, and cut below zero.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps (N, C, h, w); the deepest that has them when none is given.
        relu: keep only evidence for the target, as the paper does; without it, evidence against is negative.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); in logits, up to the layer's scale.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_eval(model)
    check_images(images)
    check_targets(targets, images)
    name = layer if layer is not None else default_layer(model, images)
    with torch.inference_mode(False):
        pixels = images.detach().clone()
        wanted = targets.clone() if isinstance(targets, Tensor) else targets
        with graph_from(model, name) as recorded, torch.no_grad():
            score = read_targets(model(pixels), wanted, len(pixels))
        features = _maps(recorded, name, model, images)  # (N, K, h, w)
        weights = gradient(score, features).mean(dim=(2, 3), keepdim=True)  # (N, K, 1, 1)
        heat = (weights * features.detach()).sum(dim=1, keepdim=True)  # (N, 1, h, w)
    heat = heat.relu() if relu else heat
    return F.interpolate(heat.to(images), images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def default_layer(model: nn.Module, images: Tensor) -> str:
    """The deepest layer that has maps, by dotted name."""
    suited = cam_layers(model, tuple(images.shape[1:]))
    if not suited:
        raise ValueError(
            "grad_cam needs a late layer with maps (N, C, h, w); the model has none: name a layer, or use saliency"
        )
    return suited[0]


def _maps(recorded: dict[str, Tensor], name: str, model: nn.Module, images: Tensor) -> Tensor:
    features = recorded.get(name)
    if features is None:
        raise ValueError(f"layer {name!r} is never reached in the forward pass")
    if features.ndim != 4 or features.shape[2] * features.shape[3] <= 1:
        better = ", ".join(cam_layers(model, tuple(images.shape[1:]))[:3]) or "saliency, which needs none"
        raise ValueError(f"layer {name!r} puts out no map (N, C, h, w) but {tuple(features.shape)}; try {better}")
    return features
