"""DeepFool: step by step to the nearest boundary, as if the network were linear.

S.-M. Moosavi-Dezfooli, A. Fawzi, P. Frossard, "DeepFool: a Simple and Accurate Method to Fool Deep Neural Networks",
CVPR 2016, algorithm 2. https://arxiv.org/abs/1511.04599
"""

import torch
from torch import Tensor, nn

from pellucid.models import paced
from pellucid.progress import steps as progress

from ._crossing import Crossing, crossed
from ._question import check_attack, check_epsilon
from ._smallest import bounded, warn_vanished
from .trace import Trace


def deepfool(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    norm: str = "l2",
    candidates: int = 10,
    overshoot: float = 0.02,
    steps: int = 50,
    compact: bool = True,
    trace: Trace | None = None,
) -> Tensor:
    """Carry every image just over the nearest boundary to another class: the change is about as small as can be.

    An image that is misclassified already is returned as it is. The paper knows no bounds on pixels; here every step is
    clamped to [0, 1].

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes.
        epsilon: largest change in image units; where more is needed, the result stops there; none sets no bound.
        norm: of the change: l2 or linf.
        candidates: classes that are looked at, of the most likely ones at the start, the true one included; at least 2.
        overshoot: share of the change that is added to it, so that it ends behind the boundary, at least 0.
        steps: times that the network is made linear, at least 1.
        compact: take images that are done out of the passes; changes the time, never the result.
        trace: a Trace to be written into; its history is the lead of the nearest other class, in logits.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1].

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    how = Crossing(norm, candidates, overshoot, steps, compact)
    how.check()
    check_epsilon(epsilon, norm)
    images, targets = check_attack(model, images, targets)
    trace = (trace or Trace()).begin(len(images))
    with paced(), torch.no_grad(), progress("attacking", steps) as done:
        made = crossed(model, images, targets, how, trace=trace, done=done)
    warn_vanished(trace, "the logits are saturated")
    return bounded(images, made, epsilon, norm)
