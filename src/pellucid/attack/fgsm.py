"""FGSM: one step as far as the ball goes, along the sign of the gradient.

I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015, section 4.
https://arxiv.org/abs/1412.6572
"""

from torch import Tensor, nn

from ._climb import Climb, climb
from .trace import Trace


def fgsm(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    targeted: bool = False,
    loss: str = "ce",
    trace: Trace | None = None,
) -> Tensor:
    """Change every image by one step along its loss's gradient, to the surface of the ball.

    An image that is misclassified already (or called the target already) is returned as it is.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: size of the change in image units, such as 8/255.
        norm: of the change: linf (the sign), l2 (the gradient brought to length epsilon) or l1.
        targeted: reach the targets instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        trace: a Trace to be written into.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    how = Climb(
        epsilon=epsilon,
        norm=norm,
        alpha=max(epsilon, 1e-12),
        steps=1,
        random_start=False,
        targeted=targeted,
        loss=loss,
        keep_best=False,
    )
    return climb(model, images, targets, how, generator=None, trace=trace)
