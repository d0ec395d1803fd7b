"""Aggregation: one answer for each image, of several samples.

Of the mean of several networks' or views' answers, and of their product: C. Genest, J. Zidek, "Combining Probability
Distributions: A Critique and an Annotated Bibliography", Statistical Science 1, 1986 (linear and logarithmic pools).
https://doi.org/10.1214/ss/1177013825
"""

import torch
from torch import Tensor

from pellucid.checks import check_choice

from ._samples import check_samples

WAYS = ("arithmetic", "geometric", "vote")


def aggregate(samples: Tensor, weights: Tensor | None = None, *, how: str = "arithmetic") -> Tensor:
    """One row of probabilities for each image, of all its samples.

    The geometric mean, brought to a sum of 1, is also what the softmax of the mean logits gives.

    Args:
        samples: (S, N, K), float, rows sum to 1.
        weights: (S,), at least 0, not all 0, of each sample; none weighs all alike.
        how: arithmetic (mean probabilities), geometric (mean logarithms, or logits) or vote (share of the samples).

    Returns:
        (N, K), rows sum to 1; take [None] of it for the scores of samples.

    Raises:
        ValueError: samples or weights are none, or how is unknown.
    """
    check_choice("how", how, WAYS)
    samples = check_samples(samples)
    shares = _shares(samples, weights)[:, None, None]
    if how == "geometric":
        return (shares * samples.clamp(min=torch.finfo(samples.dtype).tiny).log()).sum(dim=0).softmax(dim=1)
    if how == "vote":
        samples = torch.zeros_like(samples).scatter_(2, samples.argmax(dim=2, keepdim=True), 1)
    return (shares * samples).sum(dim=0)


def _shares(samples: Tensor, weights: Tensor | None) -> Tensor:
    """(S,), of sum 1."""
    count = len(samples)
    if weights is None:
        return samples.new_full((count,), 1 / count)
    if not isinstance(weights, Tensor) or weights.shape != (count,):
        given = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(f"weights must have shape ({count},), one for each sample, got {given}")
    found = weights.detach().to(samples)
    if not torch.isfinite(found).all() or float(found.min()) < 0 or not float(found.sum()) > 0:
        raise ValueError(f"weights must be at least 0 and finite, one of them above 0, got {weights.tolist()}")
    return found / found.sum()
