"""LayerCAM: each position of a layer weighted by its own gradient, which keeps early layers sharp.

P.-T. Jiang, C.-B. Zhang, Q. Hou, M.-M. Cheng, Y. Wei, "LayerCAM: Exploring Hierarchical Class Activation Maps for
Localization", IEEE Transactions on Image Processing 30, 2021, equations 6 to 8.
https://doi.org/10.1109/TIP.2021.3089943
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import unvaried

from ._cam import At, from_layers, weighed


def layer_cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    objective: str = "score",
    relu: bool = True,
) -> Tensor:
    """A layer's maps, each position weighted by its own positive gradient, summed, and cut below zero.

    The paper scales the maps of early layers by a hyperbolic tangent before it fuses them by their maximum; several
    layers are here brought to a largest value of 1 and averaged, as for the rest of the family.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        relu: keep only evidence for the target, as the paper does; without it, negative activations may show.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); at least 0 with relu; in units of the
        objective, what the score gains to first order by the position's activation. Of several layers: the mean of
        their maps, each scaled to at most 1.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets)

    def see(at: At) -> Tensor:
        return weighed(model, unvaried(images), targets, at, _weigh, objective=objective)[0]

    return from_layers(model, images, layer, grid, see, relu=relu)


def _weigh(slopes: Tensor, maps: Tensor) -> Tensor:
    return (slopes.relu() * maps).sum(dim=1)  # (R, h, w)
