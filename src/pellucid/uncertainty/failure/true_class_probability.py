"""True class probability: what no predictor can know, and the best there is to learn.

C. Corbière, N. Thome, A. Bar-Hen, M. Cord, P. Pérez, "Addressing Failure Prediction by Learning Model Confidence",
NeurIPS 2019, section 2.1. https://arxiv.org/abs/1910.04851
"""

from torch import Tensor, nn

from pellucid.checks import check_eval
from pellucid.uncertainty._logits import logits_of
from pellucid.uncertainty._pictures import check_classes, labels_of


def true_class_probability(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """One minus the probability of the true class: an oracle, for it must be told that class.

    Below 1/2 the answer is right, above 1 - 1/K wrong; between them it may be either.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, in [0, K): the true classes.

    Returns:
        (N,), float64, in [0, 1]; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images or targets are none, or its outputs are no logits.
    """
    check_eval(model)
    labels = labels_of(images, targets)
    return without(logits_of(model, images), labels.to(images.device))


def without(logits: Tensor, targets: Tensor) -> Tensor:
    """What the other classes share, (N,): summed, for 1 - p would lose what is small to rounding."""
    check_classes(targets, logits.shape[1])
    others = logits.scatter(1, targets[:, None], float("-inf"))
    return (others.logsumexp(dim=1) - logits.logsumexp(dim=1)).exp().clamp(max=1)
