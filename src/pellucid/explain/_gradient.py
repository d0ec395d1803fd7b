"""A gradient with respect to the image, by one of three rules at each ReLU, and its reduction to a number a pixel."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pellucid.checks import Targets
from pellucid.models import differentiate, is_rehearsal, scorer, unvaried
from pellucid.models.relus import relu_rule

REDUCTIONS = ("max", "mean", "l2", "sum")

RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "deconvnet": lambda _active, gradient: gradient.clamp(min=0),
    "guided_backprop": lambda active, gradient: gradient.clamp(min=0).mul_(active),
}
"""What a ReLU passes back, by the method; saliency keeps the gradient itself."""

OTHERS = (nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.PReLU, nn.Hardswish, nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus)

NOISE = 1e-8
"""A gradient of a loss, all below this, is rounding."""


@contextmanager
def ruled(model: nn.Module, method: str) -> Iterator[None]:
    """Gradients taken inside the block follow the method's rule at every ReLU.

    Raises:
        ValueError: there is a rule and no ReLU was met; names the activations there are.
    """
    if method not in RULES:
        yield
        return
    with relu_rule(RULES[method]) as met:
        yield
    if not met:
        others = Counter(type(module).__name__ for module in model.modules() if isinstance(module, OTHERS))
        seen = ", ".join(f"{name} x{count}" for name, count in others.items()) or "none"
        raise ValueError(f"{method} needs ReLU; the model's activations: {seen}; use saliency or smooth_grad")


def input_gradient(model: nn.Module, images: Tensor, targets: Targets, objective: str = "score") -> Tensor:
    """Gradient of each image's own number with respect to the image, (N, C, H, W).

    Warns where a loss has none: of a class the model is sure of it is rounding, and a picture would enlarge that.
    """
    found = differentiate(model, unvaried(images), scorer(targets, objective), lambda slope, *_: slope)[0]
    if objective == "loss" and not is_rehearsal():
        lost = int((found.abs().amax(dim=(1, 2, 3)) < NOISE).sum())
        if lost:
            warnings.warn(
                f"the loss of {lost} of {len(images)} images has a gradient below {NOISE:g} everywhere: the model is "
                "so sure of the target that this is rounding; take objective='score', or another target",
                stacklevel=3,
            )
    return found


def over_channels(values: Tensor, reduce: str) -> Tensor:
    """(N, C, H, W) to (N, H, W): the largest, mean or root of summed squares of the magnitudes, or the signed sum."""
    if reduce == "sum":
        return values.sum(dim=1)
    if reduce == "l2":
        norm: Tensor = torch.linalg.vector_norm(values, dim=1)  # half precision loses squares of small slopes
        return norm
    return values.abs().amax(dim=1) if reduce == "max" else values.abs().mean(dim=1)
