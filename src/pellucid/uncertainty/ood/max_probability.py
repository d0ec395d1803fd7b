"""Maximum probability: unknown is what no class is sure of.

D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
ICLR 2017. https://arxiv.org/abs/1610.02136
"""

from torch import Tensor, nn

from pellucid.uncertainty._logits import logits_of, remainder


def max_probability(model: nn.Module, images: Tensor) -> Tensor:
    """One minus the largest class probability.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].

    Returns:
        (N,), float64, in [0, 1 - 1/K]; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images are none, or its outputs are no logits.
    """
    return remainder(logits_of(model, images))
