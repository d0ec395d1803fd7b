"""MC dropout: unknown is what thinned networks are unsure of, or differ on.

Y. Gal, Z. Ghahramani, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning", ICML
2016, section 4. https://arxiv.org/abs/1506.02142
"""

import torch
from torch import Tensor, nn

from pellucid import uncertainty
from pellucid.checks import check_choice
from pellucid.uncertainty import scores

SCORES = {
    "entropy": scores.entropy,
    "mutual_information": scores.mutual_information,
    "variation_ratio": scores.variation_ratio,
}


def mc_dropout(
    model: nn.Module,
    images: Tensor,
    *,
    samples: int = 100,
    score: str = "entropy",
    generator: torch.Generator | None = None,
) -> Tensor:
    """A score of the samples that MC dropout draws.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K), and has dropout; in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        samples: thinned networks, at least 1.
        score: entropy (of the mean), mutual_information or variation_ratio.
        generator: of the masks; none takes one of seed 0.

    Returns:
        (N,), at least 0, in nats but for the variation ratio, a share; higher = less to be trusted.

    Raises:
        ValueError: the network has no dropout, or an argument is out of its range.
    """
    check_choice("score", score, SCORES)
    drawn = uncertainty.mc_dropout(model, images, samples=samples, generator=generator)
    return SCORES[score](drawn)
