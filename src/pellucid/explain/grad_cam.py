"""Grad-CAM: channels of a layer, weighted by how much the score wants more of them.

R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
equations 1 and 2; section 3.2 for Guided Grad-CAM. https://arxiv.org/abs/1610.02391
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import unvaried

from ._cam import At, from_layers, weighed
from .guided_backprop import guided_backprop


def grad_cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    objective: str = "score",
    relu: bool = True,
    guided: bool = False,
) -> Tensor:
    """A layer's maps, each weighted by the mean gradient of the score over it, summed, and cut below zero.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        relu: keep only evidence for the target, as the paper does; without it, evidence against is negative.
        guided: multiply by the magnitude of guided backpropagation (the paper's Guided Grad-CAM): fine, class-specific.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); in units of the objective, up to the
        layer's scale. Of several layers: the mean of their maps, each scaled to at most 1. Guided: times logits per
        full range of a pixel.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets)

    def see(at: At) -> Tensor:
        return weighed(model, unvaried(images), targets, at, _weigh, objective=objective)[0]

    heat = from_layers(model, images, layer, grid, see, relu=relu)
    return heat * guided_backprop(model, images, targets, objective=objective) if guided else heat


def _weigh(slopes: Tensor, maps: Tensor) -> Tensor:
    return (slopes.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)  # (R, h, w)
