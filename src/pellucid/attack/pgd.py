"""PGD: steps along the gradient, each brought back into the ball.

A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu, "Towards Deep Learning Models Resistant to Adversarial
Attacks", ICLR 2018, section 2.1. https://arxiv.org/abs/1706.06083
"""

import torch
from torch import Tensor, nn

from ._climb import Climb, climb
from .trace import Trace


def pgd(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    alpha: float | None = None,
    steps: int = 10,
    restarts: int = 1,
    random_start: bool = True,
    targeted: bool = False,
    loss: str = "ce",
    margin: float = 0.0,
    keep_best: bool = True,
    compact: bool = True,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Climb the loss by steps of one length from a random start in the ball, and keep the first image that succeeds.

    An image that is misclassified already (or called the target already) is returned as it is. Where no iterate
    succeeds, the one nearest to it is returned. For a final verdict take 40 steps and a few restarts, or `strong`.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units: 8/255 for linf; about 0.5 at 32 pixels and 3 at 224 for l2.
        norm: of the change: linf, l2 or l1.
        alpha: length of a step in image units; none takes epsilon / 4 for linf and 2.5 epsilon / steps else.
        steps: gradients of each start, at least 1.
        restarts: random starts, at least 1; they end for an image at its first success.
        random_start: begin at a place drawn from the ball; else at the image.
        targeted: reach the targets instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        margin: lead in logits from which an image counts as adversarial, at least 0.
        keep_best: return the first success or the best iterate; else the last one, as the paper's algorithm does.
        compact: take images that are done out of the passes; changes the time, never the result.
        generator: of the starts, which all images share; none takes one of seed 0.
        trace: a Trace to be written into.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    if alpha is None:
        alpha = max(epsilon / 4 if norm == "linf" else 2.5 * epsilon / max(1, steps), 1e-12)
    how = Climb(
        epsilon=epsilon,
        norm=norm,
        alpha=alpha,
        steps=steps,
        restarts=restarts,
        random_start=random_start,
        targeted=targeted,
        loss=loss,
        margin=margin,
        keep_best=keep_best,
        compact=compact,
    )
    return climb(model, images, targets, how, generator=generator, trace=trace)
