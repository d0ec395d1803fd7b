"""Integrated gradients: share the score's change among the pixels, along a straight path from an empty image.

M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017, equations 1 and 3.
https://arxiv.org/abs/1703.01365
"""

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_count, check_question
from pellucid.models import Plan, differentiate, filled, scorer

from ._gradient import REDUCTIONS, over_channels


def integrated_gradients(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    steps: int = 50,
    baseline: float | str = "black",
    objective: str = "score",
    reduce: str = "sum",
) -> Tensor:
    """Each pixel's share of the difference between the score of the image and that of the baseline.

    The gradient is taken at the middle of each step; the paper takes the end, whose error falls more slowly.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        steps: points on the path, at least 1; the sum comes nearer to the difference with more.
        baseline: where the path begins: black, mean (the model's own), blur, or a number in [0, 1].
        objective: what is shared out: score (the logit), logprob, prob, or loss (negative log probability).
        reduce: over the channels: sum, which keeps the sign, or max, mean or l2 of the magnitudes.

    Returns:
        (N, H, W), dtype and device of images, in units of the objective. With reduce="sum" positive pixels raise it,
        and all add up to its difference between image and baseline; otherwise at least 0.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the score ignores the image.
    """
    check_question(model, images, targets)
    check_count("steps", steps, 1)
    check_choice("reduce", reduce, REDUCTIONS)
    images = images.detach()
    start = filled(model, images, baseline, "baseline")  # (N, C, H, W)

    def along(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        share = (numbers.to(some) + 0.5) / steps  # (p,)
        return torch.lerp(start[rows], some, share[:, None, None, None, None])  # (p, n, C, H, W)

    total = differentiate(
        model,
        Plan(images, steps, along),
        scorer(targets, objective),
        lambda slope, *_: slope,
        fold=lambda slopes, *_: slopes.sum(dim=0),
        label="integrated_gradients",
    )  # (N, C, H, W)
    return over_channels((images - start) * (total / steps), reduce).to(images)
