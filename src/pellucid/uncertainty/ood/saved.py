"""Fitted detectors as folders, bound to the network they were fitted on."""

import inspect
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.uncertainty import _fitted

from .knn import Knn
from .mahalanobis import Mahalanobis
from .react import ReAct
from .vim import Vim

Fitted: TypeAlias = Knn | Mahalanobis | ReAct | Vim

CLASSES = {"knn": Knn, "mahalanobis": Mahalanobis, "react": ReAct, "vim": Vim}

NAMES = {
    "knn": {"bank_", "head_"},
    "mahalanobis": {"classes_", "means_", "whiteners_", "typical_", "widths_", "head_"},
    "react": {"threshold_", "head_"},
    "vim": {"origin_", "residual_", "scale_", "weight_", "bias_", "head_"},
}
"""What each learns."""


def save_detector(detector: Fitted, folder: str | Path, *, force: bool = False) -> None:
    """Write a fitted detector, without the network, into a new folder.

    Args:
        detector: fitted.
        folder: to make.
        force: replace a folder that was made so before, of a detector of the same kind.

    Raises:
        ValueError: the detector is not fitted, or the folder exists.
    """
    kind = next(name for name, made in CLASSES.items() if isinstance(detector, made))
    learned = {key: value for key, value in vars(detector).items() if key.endswith("_")}
    if not learned:
        raise ValueError(f"detector must be fitted before it is saved, but this {type(detector).__name__} is not")
    tensors = {key: value for key, value in learned.items() if isinstance(value, Tensor)}
    words = {key: value for key, value in learned.items() if key not in tensors}
    told = {"options": _options(detector), "learned": words}
    _fitted.write(folder, kind, detector.model, told, tensors, force=force)


def load_detector(model: nn.Module, folder: str | Path) -> Fitted:
    """A detector that was saved, for the same network.

    Args:
        model: the network it was fitted on; what was learned goes where its parameters are.
        folder: that was saved into.

    Raises:
        ValueError: no detector, a broken one, or one that was fitted on another network.
    """
    told, tensors = _fitted.read(folder, list(CLASSES), model)
    kind = told["kind"]
    with _fitted.read_errors(folder):
        words = told["learned"]
        detector: Fitted = CLASSES[kind](**told["options"])
        found = {**words, **tensors}
        if set(found) != NAMES[kind] or not all(isinstance(word, str) for word in words.values()):
            raise ValueError(f"{kind} must hold {', '.join(sorted(NAMES[kind]))}, got {', '.join(sorted(found))}")
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    detector.model = model
    for key, value in found.items():
        setattr(detector, key, value.to(device) if isinstance(value, Tensor) else value)
    return detector


def _options(detector: Fitted) -> dict[str, float | str | None]:
    """What its constructor takes, as it is now."""
    return {name: getattr(detector, name) for name in inspect.signature(type(detector)).parameters}
