"""What the attacks share that look for the smallest change: who is left, the bound at the end, a warning."""

import warnings

import torch
from torch import Tensor

from pellucid.models import are_probabilities

from ._balls import sizes, within
from ._question import is_adversarial, lead
from .trace import Trace


def still(is_done: Tensor, *, compact: bool) -> Tensor:
    """Places (n,) of the images that pass: those not done, or, where nothing is to be saved, all."""
    if compact:
        return (~is_done).nonzero()[:, 0]
    return torch.arange(len(is_done), device=is_done.device)


def spread(rows: Tensor) -> Tensor:
    """One value a row (n,), to be laid over images (n, C, H, W)."""
    return rows[:, None, None, None]


SURE = 1e-5
"""Lead, as a share of the largest logit, below which a success may be undone by rounding in another batch."""


def surely(logits: Tensor, targets: Tensor, *, targeted: bool, margin: float = 0.0) -> Tensor:
    """(n,), bool: success by at least the margin, and by more than rounding can undo.

    A search for the smallest change ends where two classes are all but level.
    """
    ahead = lead(logits, targets, targeted=targeted)
    hit = is_adversarial(logits, targets, targeted=targeted, margin=margin)
    return hit & (ahead >= SURE * logits.abs().amax(dim=1))


def reached(logits: Tensor, targets: Tensor, probability: float | None) -> Tensor:
    """(n,), bool: the target is called, and at least as likely as asked."""
    hit = is_adversarial(logits, targets, targeted=True)
    if probability is None:
        return hit
    chances = logits if are_probabilities(logits) else logits.softmax(dim=1)
    return hit & (chances.gather(1, targets[:, None])[:, 0] >= probability)


def bounded(images: Tensor, made: Tensor, epsilon: float | None, norm: str) -> Tensor:
    """What was made, where it lies in the ball about the images; else the nearest that does."""
    if epsilon is None:
        return made
    inside = sizes(made - images, norm) <= epsilon
    return torch.where(spread(inside), made, within(images, made, epsilon, norm))


def warn_vanished(trace: Trace, remedy: str) -> None:
    """Say which images could not be moved."""
    count = int(trace.vanished.sum())
    if count:
        warnings.warn(
            f"the gradient of {count} of {len(trace.vanished)} images is zero at the start, so that they did not move: "
            f"{remedy}, or the network hides it (try square)",
            stacklevel=3,
        )
