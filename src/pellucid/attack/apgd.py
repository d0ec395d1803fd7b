"""APGD: PGD whose steps adapt themselves, so that there is no step length to choose.

F. Croce, M. Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks",
ICML 2020, algorithm 1. https://arxiv.org/abs/2003.01690
In l1: F. Croce, M. Hein, "Mind the Box: l1-APGD for Sparse and Efficient Adversarial Attacks on Image Classifiers",
ICML 2021, algorithm 1. https://arxiv.org/abs/2103.01208
"""

import torch
from torch import Tensor, nn

from ._ascent import Ascent, ascend
from ._losses import loss_of
from ._question import check_attack
from ._slopes import slope
from ._standing import warn_of_vanished
from .trace import Trace


def apgd(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    steps: int = 100,
    restarts: int = 1,
    targeted: bool = False,
    loss: str = "ce",
    compact: bool = True,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Climb the loss by long steps with momentum, halved and begun again from the best place where they gain nothing.

    An image that is misclassified already (or called the target already) is returned as it is. The first success is
    returned; where none comes, the image nearest to it. In l1 the steps move few values, ever fewer, and the first
    60 % of them are taken in wider balls, of 3 and 2 times epsilon, which find better places to begin; an image can
    only succeed after that.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units: 8/255 for linf; about 0.5 at 32 pixels and 3 at 224 for l2.
        norm: of the change: linf, l2 or l1.
        steps: gradients of each start, at least 1; the step's length is looked at after 22 % and then ever sooner.
        restarts: random starts, at least 1; they end for an image at its first success.
        targeted: reach the targets instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        compact: take images that are done out of the passes; changes the time, never the result.
        generator: of the starts, which all images share; none takes one of seed 0.
        trace: a Trace to be written into.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    how = Ascent(epsilon, norm, steps, restarts, targeted, compact)
    how.check()
    climbed = loss_of(loss, targeted=targeted)
    images, targets = check_attack(model, images, targets)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    trace = trace or Trace()
    made = ascend(
        model,
        images,
        targets,
        how,
        lambda some, rows: slope(model, some, targets[rows], climbed),
        source=source,
        trace=trace,
    )
    warn_of_vanished(trace)
    return made
