"""Momentum FGSM: sign steps along a running sum of gradients, which carries over to other networks.

Y. Dong, F. Liao, T. Pang, H. Su, J. Zhu, X. Hu, J. Li, "Boosting Adversarial Attacks with Momentum", CVPR 2018,
algorithm 1. https://arxiv.org/abs/1710.06081
Without momentum: A. Kurakin, I. Goodfellow, S. Bengio, "Adversarial Examples in the Physical World", 2016, section
2.2 (the basic iterative method, BIM). https://arxiv.org/abs/1607.02533
"""

from torch import Tensor, nn

from pellucid.checks import check_count

from ._climb import Climb, climb
from .trace import Trace


def mi_fgsm(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    steps: int = 10,
    momentum: float = 1.0,
    targeted: bool = False,
    loss: str = "ce",
    keep_best: bool = True,
    compact: bool = True,
    trace: Trace | None = None,
) -> Tensor:
    """Step epsilon / steps at a time along the sign of an accumulated gradient; without momentum this is BIM.

    Each gradient is divided by its mean magnitude before it is added, which the sign of the sum makes the same as the
    paper's l1 norm. To make images that fool other networks too, switch keep_best off: it stops at the first success.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units, such as 8/255.
        norm: of the change: linf, l2 or l1.
        steps: gradients, at least 1.
        momentum: share of the sum kept at each step, at least 0; 0 is the basic iterative method.
        targeted: reach the targets instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        keep_best: return the first success or the best iterate; else the last one, as the paper's algorithm does.
        compact: take images that are done out of the passes; changes the time, never the result.
        trace: a Trace to be written into.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_count("steps", steps, 1)
    how = Climb(
        epsilon=epsilon,
        norm=norm,
        alpha=max(epsilon / steps, 1e-12),
        steps=steps,
        random_start=False,
        targeted=targeted,
        loss=loss,
        momentum=momentum,
        keep_best=keep_best,
        compact=compact,
    )
    return climb(model, images, targets, how, generator=None, trace=trace)
