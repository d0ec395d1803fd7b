"""Maximum logit: unknown is what no class answers to strongly.

D. Hendrycks, S. Basart, M. Mazeika, A. Zou, J. Kwon, M. Mostajabi, J. Steinhardt, D. Song, "Scaling Out-of-Distribution
Detection for Real-World Settings", ICML 2022, section 3. https://arxiv.org/abs/1911.11132
"""

from torch import Tensor, nn

from pellucid.uncertainty._logits import raw_logits_of


def max_logit(model: nn.Module, images: Tensor) -> Tensor:
    """The largest logit, negated.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].

    Returns:
        (N,), float64, in logits; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images are none, or its outputs are no logits.
    """
    return -raw_logits_of(model, images, "max_logit").max(dim=1).values
