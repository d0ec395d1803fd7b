"""DOCTOR: the odds that the answer is wrong, read off all probabilities.

F. Granese, M. Romanelli, D. Gorla, C. Palamidessi, P. Piantanida, "DOCTOR: A Simple Method for Detecting
Misclassification Errors", NeurIPS 2021, section 3. https://arxiv.org/abs/2106.02395
"""

import math

from torch import Tensor, nn

from pellucid.checks import check_choice
from pellucid.uncertainty._logits import logits_of, remainder

VARIANTS = ("alpha", "beta")


def doctor(model: nn.Module, images: Tensor, *, variant: str = "alpha", temperature: float = 1.0) -> Tensor:
    """Odds of an error: of a class drawn by the probabilities (alpha), or of the most probable one (beta).

    With g the sum of the squared probabilities, alpha is (1 - g) / g; beta is (1 - max p) / max p, which ranks images
    as the maximum probability does. The paper's step along the input's gradient, which needs more than the network's
    answers, is left out.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        variant: alpha or beta.
        temperature: the logits are divided by it, above 0; 1 is the paper's where only answers are known.

    Returns:
        (N,), float64, in [0, K - 1]; higher = less to be trusted.

    Raises:
        ValueError: the model is training, images are none, its outputs are no logits, or an option is out of range.
    """
    check_choice("variant", variant, VARIANTS)
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return odds(logits_of(model, images) / temperature, variant)


def odds(logits: Tensor, variant: str) -> Tensor:
    """The same of logits (N, K), float64."""
    rest = remainder(logits)  # 1 - max p, to the last digit
    if variant == "beta":
        return rest / (1 - rest)
    p = logits.softmax(dim=1)
    missing = (1 - p).scatter(1, logits.argmax(dim=1, keepdim=True), rest[:, None])
    return (p * missing).sum(dim=1) / p.square().sum(dim=1)
