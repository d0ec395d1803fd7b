"""Completeness: does a map add up to what it explains?

M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, section 3.
https://arxiv.org/abs/1703.01365
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import Plan, evaluate, filled, scorer

from ._heat import check_heat


@dataclass(frozen=True)
class Completeness:
    """What a map adds up to, beside the difference of scores that it should add up to."""

    total: Tensor  # (N,), sum of the map
    expected: Tensor  # (N,), score of the image minus that of its baseline
    gap: Tensor  # (N,), |total - expected|, in units of the score; 0 is best
    relative: Tensor  # (N,), gap / |expected|; 0 is best, infinite where only the expected difference is 0


def completeness(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    heat: Tensor,
    *,
    baseline: float | str | Tensor = "black",
    objective: str = "score",
) -> Completeness:
    """How far the sum of a map is from the difference between the scores of the image and of its baseline.

    Only a method that promises it can be blamed for a gap: integrated gradients does, summed over the channels.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class that was explained; or a callable outputs -> (N,), which decides alone.
        heat: (N, H, W), float, finite, signed.
        baseline: black, mean (the model's mean colour), blur, a number in [0, 1], or images (N, C, H, W).
        objective: what was explained: score (the logit), logprob, prob, or loss.

    Returns:
        Completeness.

    Raises:
        ValueError: an argument is out of its range, a map is not finite, or the model is training.
    """
    check_question(model, images, targets)
    check_heat(heat, images)
    if isinstance(baseline, Tensor) and baseline.shape != images.shape:
        raise ValueError(f"baseline must have shape {tuple(images.shape)}, got {tuple(baseline.shape)}")

    start = baseline.to(images) if isinstance(baseline, Tensor) else filled(model, images, baseline, "baseline")

    def vary(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        return torch.where((numbers == 0)[:, None, None, None, None], some, start[rows])  # (p, n, C, H, W)

    both = evaluate(model, Plan(images, 2, vary), scorer(targets, objective), label="completeness")
    score, bare = both.cpu().double()  # not every device has float64
    total, expected = heat.cpu().double().sum(dim=(1, 2)), score - bare
    gap = (total - expected).abs()
    relative = torch.where(gap == 0, 0.0, gap / expected.abs())
    return Completeness(*(found.to(images) for found in (total, expected, gap, relative)))
