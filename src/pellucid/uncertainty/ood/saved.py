"""Fitted detectors as folders: detector.json beside learned.safetensors, bound to the network they were fitted on."""

import inspect
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.checks import check_choice
from pellucid.files import new_folder, read_object, write_json
from pellucid.models import network_of, weights_hash
from pellucid.models.weights import read_weights
from pellucid.records import record

from .knn import Knn
from .mahalanobis import Mahalanobis
from .react import ReAct
from .vim import Vim

Fitted: TypeAlias = Knn | Mahalanobis | ReAct | Vim

FILE, LEARNED = "detector.json", "learned.safetensors"

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
        force: replace a folder that was made so before.

    Raises:
        ValueError: the detector is not fitted, or the folder exists.
    """
    kind = next(name for name, made in CLASSES.items() if isinstance(detector, made))
    told = {key: value for key, value in vars(detector).items() if key.endswith("_")}
    if not told:
        raise ValueError(f"detector must be fitted before it is saved, but this {type(detector).__name__} is not")
    tensors = {key: value.cpu().contiguous() for key, value in told.items() if isinstance(value, Tensor)}
    options = _options(detector)
    about = {
        "format": 1,
        "detector": kind,
        "options": options,
        "learned": {key: value for key, value in told.items() if key not in tensors},
        "network": weights_hash(network_of(detector.model)),
    }
    stamp = record("detector", options=options, model={"hash": about["network"]})
    with new_folder(folder, force=force, mark=FILE, command="detector") as place:
        save_file(tensors, place / LEARNED)
        write_json(place / FILE, {**about, "record": stamp.json()})


def load_detector(model: nn.Module, folder: str | Path) -> Fitted:
    """A detector that was saved, for the same network.

    Args:
        model: the network it was fitted on; what was learned goes where its parameters are.
        folder: that was saved into.

    Raises:
        ValueError: no detector, a broken one, or one that was fitted on another network.
    """
    place = Path(folder)
    told = read_object(place / FILE)
    try:
        kind, options, words = told["detector"], told["options"], told["learned"]
        check_choice("detector", kind, CLASSES)
        detector: Fitted = CLASSES[kind](**options)
        if told["network"] != weights_hash(network_of(model)):
            raise ValueError("it was fitted on a network with other weights: fit it anew on this one")
        found = {**words, **read_weights(place / LEARNED)}
        if set(found) != NAMES[kind] or not all(isinstance(word, str) for word in words.values()):
            raise ValueError(f"it must hold {', '.join(sorted(NAMES[kind]))}, got {', '.join(sorted(found))}")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: is not a detector that can be used here: {error}") from error
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    detector.model = model
    for key, value in found.items():
        setattr(detector, key, value.to(device) if isinstance(value, Tensor) else value)
    return detector


def _options(detector: Fitted) -> dict[str, float | str | None]:
    """What its constructor takes, as it is now."""
    return {name: getattr(detector, name) for name in inspect.signature(type(detector)).parameters}
