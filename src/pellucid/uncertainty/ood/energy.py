"""Energy: unknown is what all classes together answer to weakly.

W. Liu, X. Wang, J. Owens, Y. Li, "Energy-based Out-of-distribution Detection", NeurIPS 2020, equation 4.
https://arxiv.org/abs/2010.03759
"""

from torch import Tensor, nn

from pellucid.uncertainty import scores
from pellucid.uncertainty._logits import check_temperature, raw_logits_of


def energy(model: nn.Module, images: Tensor, *, temperature: float = 1.0) -> Tensor:
    """The free energy of the logits, -T logsumexp(logits / T).

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        temperature: T, above 0; towards 0 the score becomes that of the largest logit alone.

    Returns:
        (N,), float64, in logits; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images are none, its outputs are no logits, or temperature is not above 0.
    """
    check_temperature(temperature)
    return scores.energy(raw_logits_of(model, images, "energy"), temperature=temperature)
