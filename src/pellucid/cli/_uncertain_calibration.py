"""The calibration of one `pellucid uncertainty`: fitted on pictures of its own, kept, and judged on others."""

import warnings
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid import models, uncertainty
from pellucid.checks import check_choice
from pellucid.methods import Method
from pellucid.models import Model
from pellucid.records import Record
from pellucid.uncertainty import IsotonicCalibration, TemperatureScaling, VectorScaling

from ._reading import Read
from ._shared import given

Scaling: TypeAlias = TemperatureScaling | VectorScaling | IsotonicCalibration

KINDS: dict[str, type[Scaling]] = {
    "temperature": TemperatureScaling,
    "vector": VectorScaling,
    "isotonic": IsotonicCalibration,
}


@dataclass(frozen=True)
class Calibration:
    """What was fitted, and on what."""

    kind: str
    fitted: Scaling
    model: Model | None  # the calibrated copy; None where no network can hold it
    images: int  # it was fitted on
    path: str  # of these
    split: str

    @property
    def told(self) -> str:
        """It in a few words."""
        if isinstance(self.fitted, TemperatureScaling):
            return f"temperature {self.fitted.temperature_:.3g}"
        return {"vector": "vector scaling", "isotonic": "isotonic calibration"}[self.kind]


def check_calibrates(kind: str, model: Model) -> None:
    """Refuse what is no calibration, or a model of which no calibrated copy could be saved."""
    check_choice("calibrate", kind, KINDS)
    if model.build is None and kind != "isotonic":
        raise ValueError(
            "calibrate writes a model, which must be one built by name (zoo, torchvision, timm, or a folder of these); "
            "of your own function take uncertainty.TemperatureScaling in Python"
        )


def calibration(model: Model, kind: str, args: Namespace, held: Read) -> Calibration:
    """Fit on labelled pictures; fold what was fitted into a copy of the model where that can be.

    Raises:
        ValueError: no calibration is the best one, such as where every picture is told rightly.
    """
    assert held.labels is not None
    made: Method = KINDS[kind]
    scaling: Scaling = made(**given(getattr(args, kind, Namespace()), made))
    logits = _logits(model, held)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            fitted = scaling.fit(logits, held.labels)
    except UserWarning as told:  # no calibration is the best one: what is written would be none
        raise ValueError(f"calibrate {kind} finds nothing on {held.path}: {told}") from told
    copy = None if isinstance(fitted, IsotonicCalibration) else uncertainty.calibrated(model, fitted)
    return Calibration(kind, fitted, copy, len(held), held.path, held.split)


def _logits(model: Model, pictures: Read) -> Tensor:
    """(N, K), float32, on the CPU."""
    parts = []
    for rows in torch.split(torch.arange(len(pictures)), 256):
        plan = models.unvaried(pictures.images(rows, model.mean.device))
        parts.append(models.evaluate(model, plan, lambda out, _rows: out.float(), label="predicting")[0].cpu())
    return torch.cat(parts)


def write_calibration(folder: Path, found: Calibration, made: Record) -> None:
    """What was fitted, and the calibrated model, which is a MODEL."""
    found.fitted.save(folder / "calibration")
    if found.model is not None:
        models.save(found.model, folder / "calibrated", record=made.json())
