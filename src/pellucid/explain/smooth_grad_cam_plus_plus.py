"""Smooth Grad-CAM++: Grad-CAM++ averaged over noisy copies of the image.

D. Omeiza, S. Speakman, C. Cintas, K. Weldemariam, "Smooth Grad-CAM++: An Enhanced Inference Level Visualization
Technique for Deep Convolutional Neural Network Models", IntelliSys 2019. https://arxiv.org/abs/1908.01224
"""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question

from ._alphas import plus_plus
from ._cam import At, from_layers, maps_of, weighed
from ._noise import noisy


def smooth_grad_cam_plus_plus(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    objective: str = "score",
    samples: int = 10,
    std: float = 0.15,
    average: str = "maps",
    normalise: bool = False,
    relu: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Grad-CAM++ of noisy copies of the image: the mean of their maps, or one map of their mean derivatives.

    The paper averages the derivatives g, g^2 and g^3 over the copies and forms alpha once, with the clean image's
    maps; its alpha has the mean of g above the line, taken here for a slip: with it the method would not come down to
    Grad-CAM++ without noise. The default averages the copies' heat maps, in which no copy of large gradients
    drowns the others.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        samples: noisy copies of each image, at least 1.
        std: of the noise, as a share of the image's range (largest minus smallest value), at least 0.
        average: maps (the heat maps of the copies), or derivatives (then one map, with the clean image's activations).
        normalise: let the alphas of a channel sum to 1 where its gradient is positive.
        relu: keep only evidence for the target, as the paper does; without it, negative activations may show.
        generator: source of the noise; None takes one of seed 0.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); at least 0 with relu; of no fixed unit.
        Of several layers: the mean of their maps, each scaled to at most 1.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets)
    check_choice("average", average, ("maps", "derivatives"))
    plan = noisy(images, samples, std, generator)

    def heat(slopes: Tensor, maps: Tensor) -> Tensor:
        found = plus_plus(slopes, slopes, maps, normalise=normalise)
        return found.relu() if relu else found

    def see(at: At) -> Tensor:
        if average == "maps":
            return weighed(model, plan, targets, at, heat, objective=objective, fold=_sum) / samples
        summed = weighed(model, plan, targets, at, _powers, objective=objective, fold=_sum) / samples
        first, second, third = summed.unbind(dim=1)  # (N, K, h, w) each
        curvature = torch.where(second > 0, third / torch.where(second > 0, second, 1), 0)
        return plus_plus(first, curvature, maps_of(model, images, at), normalise=normalise)

    return from_layers(model, images, layer, grid, see, relu=relu)


def _powers(slopes: Tensor, _maps: Tensor) -> Tensor:
    """The first three derivatives of exp(score), less exp(score), (R, 3, K, h, w), in float32 at least."""
    slopes = slopes.to(torch.promote_types(slopes.dtype, torch.float32))
    return torch.stack([slopes, slopes**2, slopes**3], dim=1)


def _sum(values: Tensor, _numbers: Tensor, _rows: Tensor) -> Tensor:
    return values.sum(dim=0)
