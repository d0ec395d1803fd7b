"""Deconvnet: run the network backwards, and let only what excites pass at every ReLU.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 2.1.
https://arxiv.org/abs/1311.2901
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question

from ._gradient import REDUCTIONS, input_gradient, over_channels, ruled


def deconvnet(
    model: nn.Module, images: Tensor, targets: Targets, *, objective: str = "score", reduce: str = "max"
) -> Tensor:
    """Magnitude of a gradient that is cut, at each ReLU, where it is negative, whether the unit is on or off.

    For display; nearly the same for every class, so no evidence of what made the decision. Everything but the ReLU
    passes its true gradient, which for a convolution and a max pool is what the paper does: where in the image
    something was, only the max pools tell, and a network without one (MobileNet) gives a grid that is the same for
    every image. The paper starts at one unit of a feature map, here it is the target's score. Works with ReLU and
    ReLU6 in any spelling.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        objective: what is differentiated: score (the logit), logprob, prob, or loss (negative log probability).
        reduce: over the channels: max, mean or l2 of the magnitudes, or sum, which keeps the sign.

    Returns:
        (N, H, W), dtype and device of images, in units of the objective per full range of a pixel. At least 0 unless
        reduce is sum.

    Raises:
        ValueError: an argument is out of its range, the model is training, or it has no ReLU.
    """
    check_question(model, images, targets)
    check_choice("reduce", reduce, REDUCTIONS)
    with ruled(model, "deconvnet"):
        found = input_gradient(model, images, targets, objective)  # (N, C, H, W)
    return over_channels(found, reduce)
