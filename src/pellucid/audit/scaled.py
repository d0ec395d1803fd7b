"""What one temperature makes of the stated confidence: fitted on one half of the images, judged on the other."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.metrics import Interval, Reliability, bootstrap, calibration_interval, cross_entropy, reliability
from pellucid.uncertainty import TemperatureScaling

from .halves import Half, Halves

DRAWS = 500
"""Bootstrap draws."""


@dataclass(frozen=True)
class Stated:
    """How far stated confidence and accuracy agree on the judged half."""

    bins: Reliability
    ece: Interval
    loss: Interval  # mean negative log probability of the true class, nats


@dataclass(frozen=True)
class Scaled:
    """Before and after all logits are divided by one number."""

    temperature: float  # above 1: the model was too sure
    fitted: int  # images
    judged: int  # other images
    before: Stated
    after: Stated
    gain: Interval  # by how much it lowers the loss, image by image; nats

    @property
    def helps(self) -> bool:
        """Whether the loss is clearly lower with it."""
        return self.gain.low > 0


def scale_halves(halves: Halves, bins: int) -> tuple[Scaled | None, str]:
    """What the temperature does, or why there is none."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        scaling = TemperatureScaling().fit(halves.fitted.logits, halves.fitted.targets)
    if told:  # no temperature is the best one; the page repeats why
        return None, str(told[0].message)
    other = halves.judged
    after = scaling.scale(other.logits)
    loss, loss_after = (cross_entropy(logits, other.targets) for logits in (other.logits, after))
    return Scaled(
        scaling.temperature_,
        len(halves.fitted),
        len(other),
        before=_stated(other, other.logits, loss, bins),
        after=_stated(other, after, loss_after, bins),
        gain=bootstrap(loss - loss_after, draws=DRAWS),
    ), ""


def _stated(half: Half, logits: Tensor, loss: Tensor, bins: int) -> Stated:
    confidence = logits.softmax(dim=1).amax(dim=1)
    drawn = torch.Generator().manual_seed(0)
    ece = calibration_interval(confidence, half.correct, bins=bins, draws=DRAWS, generator=drawn)
    return Stated(reliability(confidence, half.correct, bins=bins), ece, bootstrap(loss, draws=DRAWS))
