"""Scores of samples: one number for each image, higher the less its answer is to be trusted.

A sample is one draw of a network's probabilities p_s; the answer is their mean, and the predicted class the largest of
that. Entropies are in nats, and 0 ln 0 is 0. Of a single draw (samples with S = 1) what tells of the spread is 0.

N. Houlsby, F. Huszár, Z. Ghahramani, M. Lengyel, "Bayesian Active Learning for Classification and Preference
Learning", 2011 (mutual information). https://arxiv.org/abs/1112.5745
L. Freeman, "Elementary Applied Statistics", Wiley, 1965 (variation ratio).
W. Liu, X. Wang, J. Owens, Y. Li, "Energy-based Out-of-distribution Detection", NeurIPS 2020, equation 4 (energy).
https://arxiv.org/abs/2010.03759
"""

import math

import torch
from torch import Tensor

from pellucid.checks import check_count

from ._samples import check_samples


def least_confidence(samples: Tensor) -> Tensor:
    """What the predicted class lacks of certainty: 1 - its mean probability.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in [0, 1 - 1/K].
    """
    return 1 - check_samples(samples).mean(dim=0).amax(dim=1)


def margin(samples: Tensor) -> Tensor:
    """How near the second class comes: 1 - the lead of the mean probability of the first class over the second's.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in [0, 1]; 1 where the two are equal.
    """
    first = check_samples(samples).mean(dim=0).topk(2, dim=1).values  # (N, 2)
    return 1 - (first[:, 0] - first[:, 1])


def entropy(samples: Tensor) -> Tensor:
    """Entropy of the mean probabilities: all that is uncertain, of the image itself and of the network.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in nats, in [0, ln K].
    """
    return _entropy(check_samples(samples).mean(dim=0))


def expected_entropy(samples: Tensor) -> Tensor:
    """Mean entropy of the samples: what each draw is unsure of by itself, as an ambiguous image makes it.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in nats, from 0 to the entropy of the mean.
    """
    samples = check_samples(samples)
    return torch.stack([_entropy(sample) for sample in samples]).mean(dim=0)


def mutual_information(samples: Tensor) -> Tensor:
    """What the samples disagree on: entropy of the mean less the mean entropy, summed as divergences from the mean.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in nats, from 0 to the smaller of ln K and ln S; never negative.
    """
    samples = check_samples(samples)
    mean = samples.mean(dim=0)  # (N, K)
    # Sums of p ln(p / mean), not a difference of two entropies: that would lose what is small to rounding.
    divergences = [(torch.xlogy(sample, sample) - torch.xlogy(sample, mean)).sum(dim=1) for sample in samples]
    return torch.stack(divergences).mean(dim=0).clamp(min=0)


def variation_ratio(samples: Tensor) -> Tensor:
    """Share of the samples that vote for another class than the one most often voted for.

    Args:
        samples: (S, N, K), float, rows sum to 1.

    Returns:
        (N,), in [0, 1 - 1/S], in steps of 1/S.
    """
    samples = check_samples(samples)
    return 1 - vote_counts(samples).amax(dim=1).to(samples) / len(samples)


def predicted_variance(samples: Tensor, *, ddof: int = 0) -> Tensor:
    """Variance, over the samples, of the probability of the predicted class (that of the largest mean).

    Args:
        samples: (S, N, K), float, rows sum to 1.
        ddof: the variance divides by S - ddof: 0 of these samples, 1 as an estimate of all that could be drawn.

    Returns:
        (N,), in [0, 1/4] with ddof 0.
    """
    samples = check_samples(samples)
    predicted = samples.mean(dim=0).argmax(dim=1)
    return _variance(samples, ddof).gather(1, predicted[:, None])[:, 0]


def mean_class_variance(samples: Tensor, *, ddof: int = 0) -> Tensor:
    """Variance of the probability over the samples, averaged over all K classes; comparable at equal K only.

    Args:
        samples: (S, N, K), float, rows sum to 1.
        ddof: the variance divides by S - ddof: 0 of these samples, 1 as an estimate of all that could be drawn.

    Returns:
        (N,), in [0, 1/K) with ddof 0.
    """
    return _variance(check_samples(samples), ddof).mean(dim=1)


def total_class_variance(samples: Tensor, *, ddof: int = 0) -> Tensor:
    """Variance of the probability over the samples, summed over all K classes; does not shrink with their number.

    Args:
        samples: (S, N, K), float, rows sum to 1.
        ddof: the variance divides by S - ddof: 0 of these samples, 1 as an estimate of all that could be drawn.

    Returns:
        (N,), in [0, 1) with ddof 0.
    """
    return _variance(check_samples(samples), ddof).sum(dim=1)


def energy(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Free energy of the logits: high where no class is called for at all.

    Args:
        logits: (N, K), float, finite; no probabilities: what their sum tells is lost in those.
        temperature: T of -T ln sum exp(logit / T), above 0.

    Returns:
        (N,), in logits; unbounded, mostly negative.

    Raises:
        ValueError: logits are no finite matrix, or temperature is not above 0.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point() or not logits.numel():
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"logits must be a float tensor (N, K), got {given}")
    if not torch.isfinite(logits).all():
        raise ValueError("logits must be finite, got NaN or infinity")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    return -temperature * (logits.detach() / temperature).logsumexp(dim=1)


def vote_counts(samples: Tensor) -> Tensor:
    """How many samples vote for each class, (N, K), int64; a tie within a sample goes to the lower class."""
    votes = samples.argmax(dim=2).T  # (N, S)
    counts = torch.zeros(samples.shape[1:], dtype=torch.int64, device=samples.device)
    return counts.scatter_add_(1, votes, torch.ones_like(votes))


def _entropy(probabilities: Tensor) -> Tensor:
    """Of rows (N, K), in nats."""
    entropies: Tensor = torch.special.entr(probabilities).sum(dim=1)
    return entropies


def _variance(samples: Tensor, ddof: int) -> Tensor:
    """(N, K), over the samples."""
    check_count("ddof", ddof, 0, 1)
    if len(samples) <= ddof:
        raise ValueError("samples must be at least 2 for a variance with ddof 1, got 1")
    return samples.var(dim=0, correction=ddof)
