"""Entropy: unknown is what the network spreads over many classes.

C. Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27, 1948.
https://doi.org/10.1002/j.1538-7305.1948.tb01338.x
"""

from torch import Tensor, nn

from pellucid.uncertainty._logits import logits_of


def entropy(model: nn.Module, images: Tensor) -> Tensor:
    """Entropy of the class probabilities.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].

    Returns:
        (N,), float64, in nats, in [0, ln K]; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images are none, or its outputs are no logits.
    """
    shares = logits_of(model, images).log_softmax(dim=1)
    return -(shares.exp() * shares).sum(dim=1)
