"""Guided backpropagation: a gradient that passes only what excites, at every ReLU.

J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for Simplicity: The All Convolutional Net",
ICLR workshop 2015, section 3.4. https://arxiv.org/abs/1412.6806
"""

from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_question

from ._gradient import REDUCTIONS, input_gradient, over_channels, ruled


def guided_backprop(
    model: nn.Module, images: Tensor, targets: Targets, *, objective: str = "score", reduce: str = "max"
) -> Tensor:
    """Magnitude of a gradient that is cut, at each ReLU, where the unit is off or the gradient negative.

    Sharp outlines for display; nearly the same for every class, so no evidence of what made the decision.
    Works with ReLU and ReLU6 in any spelling: module, in place, functional, method, shared.

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
    with ruled(model, "guided_backprop"):
        found = input_gradient(model, images, targets, objective)  # (N, C, H, W)
    return over_channels(found, reduce)
