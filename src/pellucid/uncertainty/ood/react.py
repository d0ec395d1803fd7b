"""ReAct: cut off the few activations by which an unknown image excites a network, then take the energy.

Y. Sun, C. Guo, Y. Li, "ReAct: Out-of-distribution Detection With Rectified Activations", NeurIPS 2021, section 3.
https://arxiv.org/abs/2111.12797
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images, check_range
from pellucid.models.probes import find_layer, hooked
from pellucid.uncertainty import scores
from pellucid.uncertainty._features import features_of, linear_head_of
from pellucid.uncertainty._logits import check_temperature, raw_logits_of

from ._asked import check_asked


class ReAct:
    """Energy of the logits that a network gives when its last features are cut off at a percentile of the known ones.

    Learned: threshold_, the value cut off at; head_, the name of the last layer.

    Args:
        percentile: of all known activations together, in [0, 100]; 100 cuts off only what no known image reached.
        temperature: of the energy, above 0.
    """

    def __init__(self, *, percentile: float = 90.0, temperature: float = 1.0) -> None:
        self.percentile = percentile
        self.temperature = temperature

    def fit(self, model: nn.Module, images: Tensor, targets: Tensor | None = None) -> "ReAct":  # noqa: ARG002
        """Learn from known images where to cut off.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K) by a last linear layer; in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1]; what is known.
            targets: not needed; taken so that every detector is fitted alike.

        Raises:
            ValueError: the logits come from no linear layer, or an argument is out of its range.
        """
        check_eval(model)
        check_images(images)
        check_range("percentile", self.percentile, 0, 100)
        check_temperature(self.temperature)
        self.model = model
        self.head_, _ = linear_head_of(model, images, "react")
        (features,) = features_of(model, images, head=self.head_)
        cut = np.percentile(features.cpu().numpy(), self.percentile)
        self.threshold_ = torch.tensor(float(cut), dtype=torch.float64)
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (N,), float64, in logits; higher = less known."""
        check_asked(self, "threshold_", images)
        most = float(self.threshold_)

        def cut(_module: nn.Module, inputs: Any) -> tuple[Any, ...]:
            return (inputs[0].clamp(max=most), *inputs[1:])

        with hooked([], [(find_layer(self.model, self.head_)[1], cut)]):
            logits = raw_logits_of(self.model, images, "react")
        return scores.energy(logits, temperature=self.temperature)
