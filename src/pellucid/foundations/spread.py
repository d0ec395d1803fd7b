"""Spread: how far drawn answers lie apart, and how much of their doubt is disagreement.

N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel, "Bayesian Active Learning for Classification and Preference
Learning", 2011. https://arxiv.org/abs/1112.5745
"""

from dataclasses import dataclass

from torch import Tensor, special


@dataclass(frozen=True)
class Spread:
    """Of each point, from its S drawn answers."""

    mean: Tensor  # (N, K), rows sum to 1
    deviation: Tensor  # (N, K): population standard deviation of the draws
    entropy: Tensor  # (N,), nats, of the mean: all doubt
    disagreement: Tensor  # (N,), nats, mutual information: what of it is between the draws, and not in each of them


def spread(samples: Tensor) -> Spread:
    """Mean, standard deviation, entropy and mutual information of drawn answers.

    Formula:
        entropy = -sum p ln p of the mean answer; disagreement = entropy - mean of the entropies of the draws

    Args:
        samples: (S, N, K), rows sum to 1, S at least 2.

    Raises:
        ValueError: fewer than two draws, or another shape.
    """
    if not isinstance(samples, Tensor) or samples.ndim != 3 or len(samples) < 2:
        given = tuple(samples.shape) if isinstance(samples, Tensor) else type(samples).__name__
        raise ValueError(f"samples must have shape (S, N, K), S at least 2 for a spread, got {given}")
    mean = samples.mean(dim=0)
    entropy = special.entr(mean).sum(dim=1)
    within = special.entr(samples).sum(dim=2).mean(dim=0)
    return Spread(mean, samples.std(dim=0, correction=0), entropy, (entropy - within).clamp_min(0))
