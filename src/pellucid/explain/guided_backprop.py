"""Guided backpropagation: a gradient that passes only what excites, at every ReLU.

J. T. Springenberg, A. Dosovitskiy, T. Brox, M. Riedmiller, "Striving for Simplicity: The All Convolutional Net",
ICLR workshop 2015, section 3.4. https://arxiv.org/abs/1412.6806
"""

from collections import Counter

from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models.probes import relu_rule

from ._gradient import input_gradient, over_channels

OTHERS = (nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.PReLU, nn.Hardswish, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus)


def guided_backprop(model: nn.Module, images: Tensor, targets: Targets, *, reduce: str = "max") -> Tensor:
    """Magnitude of a gradient that is cut, at each ReLU, where the unit is off or the gradient negative.

    Sharp outlines for display; nearly the same for every class, so no evidence of what made the decision.
    Works with ReLU and ReLU6 in any spelling: module, in place, functional, method, shared.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        reduce: over the channels: max, mean or l2 of the magnitudes, or sum, which keeps the sign.

    Returns:
        (N, H, W), dtype and device of images, in logits per full range of a pixel. At least 0 unless reduce is sum.

    Raises:
        ValueError: an argument is out of its range, the model is training, or it has no ReLU.
    """
    check_question(model, images, targets)
    with relu_rule(lambda active, gradient: gradient.clamp(min=0) * active) as met:
        found = input_gradient(model, images, targets)  # (N, C, H, W)
    if not met:
        others = Counter(type(module).__name__ for module in model.modules() if isinstance(module, OTHERS))
        seen = ", ".join(f"{name} x{count}" for name, count in others.items()) or "none"
        raise ValueError(f"guided_backprop needs ReLU; the model's activations: {seen}; use saliency")
    return over_channels(found, reduce)
