"""Average drop: show the network only what the map highlights, ask how much less sure it is.

A. Chattopadhay, A. Sarkar, P. Howlader, V. Balasubramanian, "Grad-CAM++: Generalized Gradient-Based Visual Explanations
for Deep Convolutional Networks", WACV 2018, section 4.1. https://arxiv.org/abs/1710.11063
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import Plan, evaluate, filled, scorer

from ._heat import check_heat
from .is_flat import is_flat


@dataclass(frozen=True)
class AverageDrop:
    """How much of the target's probability is lost when the image is faded where the map is cold."""

    drop: Tensor  # (N,), in [0, 1]: share of the probability that is lost, 0 where it grew; lower is better
    increase: Tensor  # (N,), bool: the probability grew; more is better
    before: Tensor  # (N,), probability of the target in the image
    after: Tensor  # (N,), in the faded image
    is_flat: Tensor  # (N,), bool: the map says nothing, so the whole image was faded

    @property
    def drop_percent(self) -> float:
        """Mean drop, in percent; lower is better."""
        return 100 * float(self.drop.cpu().double().mean())

    @property
    def increase_percent(self) -> float:
        """Share of images whose probability grew, in percent; higher is better."""
        return 100 * float(self.increase.cpu().double().mean())


def average_drop(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    heat: Tensor,
    *,
    fill: float | str = "black",
) -> AverageDrop:
    """The share of the target's probability that is lost when the image is multiplied by its map.

    Each map is brought to [0, 1] by its own smallest and largest value. A map that is hot everywhere scores well, so
    read it beside `insertion`, which charges for the pixels it shows.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class that was explained; or a callable outputs -> (N,) of positive scores.
        heat: (N, H, W), float, finite.
        fill: what cold pixels fade to: black (image times map, as in the paper), mean, blur, or a number in [0, 1].

    Returns:
        AverageDrop; where the image's own score is not positive, nothing can be lost and the drop is 0.

    Raises:
        ValueError: an argument is out of its range, a map is not finite, or the model is training.
    """
    check_question(model, images, targets)
    check_heat(heat, images)
    canvas = filled(model, images, fill)  # (N, C, H, W)
    kept = _scaled(heat).to(images)[:, None]  # (N, 1, H, W)

    def fade(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        faded = some * kept[rows] + canvas[rows] * (1 - kept[rows])  # (n, C, H, W)
        return torch.where((numbers == 0)[:, None, None, None, None], some, faded)  # (p, n, C, H, W)

    before, after = evaluate(model, Plan(images, 2, fade), scorer(targets, "prob"), label="average drop")
    lost = (before - after).clamp(min=0)
    drop = torch.where(before > 0, lost / before, torch.zeros_like(lost))
    return AverageDrop(drop, after > before, before, after, is_flat(heat))


def _scaled(heat: Tensor) -> Tensor:
    """Each map in [0, 1]; a flat one is all zero."""
    low, high = heat.amin(dim=(1, 2), keepdim=True), heat.amax(dim=(1, 2), keepdim=True)
    return (heat - low) / torch.where(high > low, high - low, 1)
