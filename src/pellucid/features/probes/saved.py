"""Fitted probes as folders: JSON and safetensors, checked when read; no class and no code is read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.checks import check_choice
from pellucid.features.normaliser import Normaliser
from pellucid.files import new_folder, read_object, write_json
from pellucid.models.weights import put_weights, read_weights, write_weights
from pellucid.records import record

from ._options import options_of
from .compare_layers import Probe
from .kernel_svm import KernelSVM
from .linear_svm import LinearSVM
from .logistic_regression import LogisticRegression
from .mlp_head import MLPHead, head
from .nearest_neighbours import NearestNeighbours

TOLD, TENSORS, RECORD = "probe.json", "probe.safetensors", "record.json"

PROBES = {
    "linear_svm": LinearSVM,
    "kernel_svm": KernelSVM,
    "logistic_regression": LogisticRegression,
    "nearest_neighbours": NearestNeighbours,
    "mlp_head": MLPHead,
}
"""Each kind of probe by its name."""

SHAPES = {
    "linear_svm": {"weight_": "KD", "bias_": "K"},
    "kernel_svm": {"support_": "SD", "forces_": "SP", "offsets_": "P"},
    "logistic_regression": {"weight_": "KD", "bias_": "K"},
    "nearest_neighbours": {"rows_": "ND", "targets_": "N"},
    "mlp_head": {},
}
"""What each learns, a letter a dimension: equal letters are equal numbers."""

ALL = {"classes_": "K", "normaliser.shift_": "D", "normaliser.scale_": "D"}


def save_probe(
    probe: Probe, folder: str | Path, *, about: Mapping[str, Any] | None = None, force: bool = False
) -> None:
    """Write a fitted probe into a new folder.

    Args:
        probe: fitted.
        folder: to make.
        about: what the features are of, as plain JSON, such as `Store.about` with layer and pooling.
        force: replace a folder that was made so before.

    Raises:
        ValueError: the probe is not fitted, or the folder exists.
    """
    kind = next((name for name, made in PROBES.items() if type(probe) is made), "")
    if not kind or not hasattr(probe, "classes_"):
        raise ValueError(f"probe must be a fitted one of {', '.join(PROBES)}, got {type(probe).__name__}")
    tensors = {name: value for name, value in vars(probe).items() if name.endswith("_") and isinstance(value, Tensor)}
    tensors |= {f"normaliser.{name}": getattr(probe.normaliser_, name) for name in ("shift_", "scale_")}
    if isinstance(probe, MLPHead):
        tensors |= {f"network.{name}": value for name, value in probe.network_.state_dict().items()}
    with new_folder(folder, force=force, mark=RECORD, command="probe") as place:
        write_weights(place / TENSORS, tensors)
        gamma = {"gamma_": probe.gamma_} if isinstance(probe, KernelSVM) else {}
        told = {"format": 1, "kind": kind, "options": options_of(probe), "learned": gamma, "about": dict(about or {})}
        write_json(place / TOLD, told)
        write_json(place / RECORD, record("probe", options=options_of(probe), model=dict(about or {})).json())


def load_probe(folder: str | Path) -> Probe:
    """A probe that was saved.

    Raises:
        ValueError: the folder holds no probe, or a damaged one.
    """
    place = Path(folder)
    if not (place / TOLD).is_file():
        raise ValueError(f"{place}: is no saved probe (the folder has no {TOLD})")
    told = read_object(place / TOLD)
    try:
        if told["format"] != 1:
            raise ValueError(f"format must be 1, got {told['format']!r}")
        check_choice("kind", told["kind"], PROBES)
        probe: Probe = PROBES[told["kind"]](**told["options"])
        tensors = read_weights(place / TENSORS)
        _put(probe, told["kind"], tensors, place)
        if isinstance(probe, KernelSVM):
            probe.gamma_ = float(told["learned"]["gamma_"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: is a damaged probe ({error})") from error
    return probe


def about_probe(folder: str | Path) -> dict[str, Any]:
    """What the features of a saved probe are of, as it was told when it was saved."""
    about = read_object(Path(folder) / TOLD).get("about")
    return about if isinstance(about, dict) else {}


def _put(probe: Probe, kind: str, tensors: dict[str, Tensor], place: Path) -> None:
    """Give a probe what it had learned, checked."""
    network = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    plain = {name: value for name, value in tensors.items() if not name.startswith("network.")}
    shapes = {**ALL, **SHAPES[kind]}
    if isinstance(probe, KernelSVM) and probe.kernel == "precomputed":
        shapes["support_"] = "S"
    if set(plain) != set(shapes):
        raise ValueError(f"must hold {', '.join(sorted(shapes))}, got {', '.join(sorted(plain))}")
    sizes: dict[str, int] = {}
    for name, letters in shapes.items():
        shape = tuple(plain[name].shape)
        if len(shape) != len(letters) or any(sizes.setdefault(a, b) != b for a, b in zip(letters, shape, strict=True)):
            raise ValueError(f"{name} must fit the others, got shape {shape}")
        if not bool(torch.isfinite(plain[name]).all()):
            raise ValueError(f"{name} must be finite")
    normaliser = Normaliser("none" if getattr(probe, "kernel", "") == "precomputed" else probe.normalise)
    normaliser.shift_, normaliser.scale_ = plain.pop("normaliser.shift_"), plain.pop("normaliser.scale_")
    normaliser.dimension_ = sizes["D"]
    probe.normaliser_ = normaliser
    for name, value in plain.items():
        setattr(probe, name, value)
    if isinstance(probe, MLPHead):
        made = head(sizes["D"], sizes["K"], probe.first, probe.second, probe.dropout)
        put_weights(made, network, str(place / TENSORS))
        probe.network_ = made.eval()
