"""Dropout: units fall silent at random in training, so that none may rely on another.

N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: A Simple Way to Prevent Neural
Networks from Overfitting", JMLR 15, 2014. https://jmlr.org/papers/v15/srivastava14a.html
"""

import torch
from torch import Tensor


def dropout(
    values: Tensor, *, p: float = 0.5, is_training: bool = True, generator: torch.Generator | None = None
) -> Tensor:
    """Each value zero with probability p, the others made larger by as much, so that the mean stays.

    Formula:
        y = x m / (1 - p) in training, m ~ Bernoulli(1 - p) for each value anew; y = x otherwise
        E[y] = x, Var[y] = x^2 p / (1 - p)

    Args:
        values: float, any shape, a sample a row: each has its own mask.
        p: probability of falling silent, in [0, 1); up to 0.2 suits inputs, up to 0.5 hidden units.
        is_training: whether anything happens at all.
        generator: of the mask; seed 0 without.

    Returns:
        As values.

    Raises:
        ValueError: p is out of the range above, or values are no floats.
    """
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise ValueError(f"values must be a float tensor, got {getattr(values, 'dtype', type(values).__name__)}")
    if not 0 <= p < 1:
        raise ValueError(f"p must be in [0, 1), got {p}: at 1 nothing would be left")
    if not is_training:
        return values
    source = generator or torch.Generator().manual_seed(0)
    kept = torch.rand(values.shape, generator=source, device=source.device).to(values.device) >= p
    return values * kept / (1 - p)
