"""A gradient with respect to the image, and its reduction to one number a pixel."""

from torch import Tensor, nn

from pellucid.checks import Targets, check_choice
from pellucid.models import differentiate, scorer, unvaried

REDUCTIONS = ("max", "mean", "l2", "sum")


def input_gradient(model: nn.Module, images: Tensor, targets: Targets, objective: str = "score") -> Tensor:
    """Gradient of each image's own number with respect to the image, (N, C, H, W)."""
    return differentiate(model, unvaried(images), scorer(targets, objective), lambda slope, *_: slope)[0]


def over_channels(values: Tensor, reduce: str) -> Tensor:
    """(N, C, H, W) to (N, H, W): the largest, mean or root of summed squares of the magnitudes, or the signed sum."""
    check_choice("reduce", reduce, REDUCTIONS)
    if reduce == "sum":
        return values.sum(dim=1)
    if reduce == "l2":
        return values.square().sum(dim=1).sqrt()
    return values.abs().amax(dim=1) if reduce == "max" else values.abs().mean(dim=1)
