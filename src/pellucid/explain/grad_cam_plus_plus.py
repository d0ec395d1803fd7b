"""Grad-CAM++: Grad-CAM in which each position votes for its channel, so that several objects all count.

A. Chattopadhay, A. Sarkar, P. Howlader, V. Balasubramanian, "Grad-CAM++: Improved Visual Explanations for Deep
Convolutional Networks", WACV 2018, equations 5 and 19. https://arxiv.org/abs/1710.11063
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import unvaried

from ._alphas import plus_plus
from ._cam import At, from_layers, weighed


def grad_cam_plus_plus(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    objective: str = "score",
    normalise: bool = False,
    relu: bool = True,
) -> Tensor:
    """A layer's maps, each weighted by its positive gradients, position by position, summed, and cut below zero.

    The weight of channel k is the sum over positions of alpha ReLU(g), with alpha = g^2 / (2 g^2 + sum(f_k) g^3) and
    0 where that is 0/0. It is computed as 1 / (2 + sum(f_k) g), which is the same and does not vanish with small
    gradients. The paper differentiates exp(score): its factor exp(score), the same at every pixel, is left out, for
    it would make maps of two images incomparable by orders of magnitude.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        normalise: let the alphas of a channel sum to 1 where its gradient is positive, as the authors' code does.
        relu: keep only evidence for the target, as the paper does; without it, negative activations may show.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); at least 0 with relu; of no fixed unit.
        Of several layers: the mean of their maps, each scaled to at most 1.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets)

    def weigh(slopes: Tensor, maps: Tensor) -> Tensor:
        return plus_plus(slopes, slopes, maps, normalise=normalise)

    def see(at: At) -> Tensor:
        return weighed(model, unvaried(images), targets, at, weigh, objective=objective)[0]

    return from_layers(model, images, layer, grid, see, relu=relu)
