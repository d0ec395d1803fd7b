"""Moving average of the weights: often a better model than the last step's.

B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J. Control and Optimization 30,
1992; as an exponential moving average with a short memory at first, as in TensorFlow's ExponentialMovingAverage.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_range


class Average:
    """Exponential moving average of a model's floating parameters and buffers.

    After update n (from 1) the average is d average + (1 - d) weights with d = min(decay, (1 + n) / (10 + n)), so that
    the first, bad weights are soon forgotten. Whole-number buffers are copied.

    Args:
        model: whose weights are averaged; its copy stands in `model`, in eval mode and frozen.
        decay: share of the average that stays at each update, in [0, 1).
    """

    def __init__(self, model: nn.Module, *, decay: float = 0.999) -> None:
        check_range("decay", decay, 0, 1)
        if decay == 1:
            raise ValueError("decay must be below 1, got 1: the average would never move")
        self.decay = decay
        self.updates = 0
        self.model = deepcopy(model).eval().requires_grad_(requires_grad=False)
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        floating = [(ours, theirs) for ours, theirs in pairs if ours.is_floating_point()]
        self._ours, self._theirs = [ours for ours, _ in floating], [theirs for _, theirs in floating]
        self._whole = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's present weights in."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._ours, self._theirs, 1 - decay)
        for ours, theirs in self._whole:
            ours.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and how many updates made them."""
        return {"updates": self.updates, "model": self.model.state_dict()}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved average stood."""
        self.updates = int(saved["updates"])
        self.model.load_state_dict(saved["model"])


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*(p.detach() for p in model.parameters()), *model.buffers()]
