"""What an attack climbs: one number a row, higher the nearer to success."""

from collections.abc import Callable
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice

from ._question import lead

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(logits (R, K), targets (R,)) -> (R,), climbed."""

LOSSES = ("ce", "margin", "dlr")


def loss_of(name: str, *, targeted: bool) -> Loss:
    """A loss by name.

    ce: the cross-entropy, of the target negative. margin: the lead of N. Carlini, D. Wagner, "Towards Evaluating the
    Robustness of Neural Networks", IEEE S&P 2017, https://arxiv.org/abs/1608.04644. dlr: the same over a difference of
    logits, so that no scale of them can hide the slope: F. Croce, M. Hein, "Reliable Evaluation of Adversarial
    Robustness with an Ensemble of Diverse Parameter-free Attacks", ICML 2020, https://arxiv.org/abs/2003.01690.
    """
    check_choice("loss", name, LOSSES)
    if name == "ce":
        sign = -1 if targeted else 1
        return lambda logits, targets: sign * F.cross_entropy(logits, targets, reduction="none")
    if name == "margin":
        return lambda logits, targets: lead(logits, targets, targeted=targeted)
    return lambda logits, targets: _ratio(logits, targets, targeted=targeted)


def _ratio(logits: Tensor, targets: Tensor, *, targeted: bool) -> Tensor:
    """The lead over z(1) - z(3), targeted over z(1) - (z(3) + z(4)) / 2; z(1) being the highest logit."""
    need = 4 if targeted else 3
    if logits.shape[1] < need:
        raise ValueError(f"loss dlr needs {need} classes, the model has {logits.shape[1]}: use margin")
    ordered = logits.topk(need, dim=1).values
    below = (ordered[:, 2] + ordered[:, 3]) / 2 if targeted else ordered[:, 2]
    return lead(logits, targets, targeted=targeted) / (ordered[:, 0] - below).clamp(min=1e-12)
