"""What stands where an image is hidden, or where a path to it begins."""

import torch
from torch import Tensor, nn

from pellucid.checks import check_range

from .model import Model

FILLS = ("mean", "black", "blur")


def filled(model: nn.Module, images: Tensor, fill: float | str, name: str = "fill") -> Tensor:
    """Images (N, C, H, W) that hold nothing: the model's mean colour, black, the images blurred, or one gray.

    The mean is what the network is fed as zero; a plain module, which has none, is fed zeros.

    Args:
        model: a Model, whose mean is taken, or any module.
        images: (N, C, H, W), in [0, 1].
        fill: mean, black, blur (Gaussian, of 10 pixels where the shorter side has 224), or a number in [0, 1].
        name: of the option, for the refusal.
    """
    number = as_number(fill)
    if number is not None:
        check_range(name, number, 0, 1)
        return images.new_full((), number).expand_as(images)
    if fill not in FILLS:
        raise ValueError(f"{name} must be {', '.join(FILLS)} or a number in [0, 1], got {fill!r}")
    if fill == "blur":
        std = min(images.shape[-2:]) * 10 / 224
        rows, columns = (_blur(side, std).to(images) for side in images.shape[-2:])
        return (rows @ images @ columns.T).to(images)  # under autocast a product is coarser
    if fill == "mean" and isinstance(model, Model):
        return model.mean.to(images).expand_as(images)
    return images.new_zeros(()).expand_as(images)


def as_number(fill: float | str) -> float | None:
    """The number that is meant, also where it came as text."""
    try:
        return float(fill)
    except (TypeError, ValueError):
        return None


def _blur(side: int, std: float) -> Tensor:
    """Weights (side, side) by which a line of pixels becomes blurred; each row sums to 1, also at the edge."""
    places = torch.arange(side)
    return (-(places - places[:, None]).square() / (2 * std**2)).softmax(dim=1)
