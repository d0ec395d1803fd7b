"""What was learned, kept in a folder as safetensors and JSON; no class and no code is read back."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pellucid.checks import near
from pellucid.files import new_folder, read_object, write_json
from pellucid.models.weights import read_weights, write_weights
from pellucid.records import record

TOLD, TENSORS = "learned.json", "learned.safetensors"


def save(folder: str | Path, kind: str, told: Mapping[str, Any], tensors: Mapping[str, Tensor], *, force: bool) -> None:
    """Write what was learned, and how, into a new folder.

    Raises:
        ValueError: the folder may not be made.
    """
    with new_folder(folder, force=force, mark=TOLD, command=kind) as place:
        write_weights(place / TENSORS, tensors)
        about = record(kind, options=told, model={"hash": hash_of(tensors)})
        write_json(place / TOLD, {"format": 1, "kind": kind, **told, "record": about.json()})


def load(folder: str | Path, kind: str, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was told and learned.

    Raises:
        ValueError: the folder holds nothing of that kind, is damaged, or its tensors are not those that were written.
    """
    place = Path(folder)
    if not (place / TOLD).is_file():
        raise ValueError(f"{folder}: is no saved {kind} (the folder has no {TOLD})")
    told = read_object(place / TOLD)
    if told.get("format") != 1 or told.get("kind") != kind:
        raise ValueError(f"{folder}: must hold a {kind}, format 1, got {told.get('kind')!r:.80}")
    tensors = read_weights(place / TENSORS)
    missing = next((name for name in names if name not in tensors), None)
    if missing is not None:
        raise ValueError(f"{place / TENSORS}: must hold {missing}{near(missing, tensors)}")
    about = told.get("record")
    written = about.get("model", {}).get("hash") if isinstance(about, dict) else None
    if hash_of(tensors) != written:
        raise ValueError(f"{place / TENSORS}: is damaged, or not what {TOLD} was written with")
    return told, tensors


def hash_of(tensors: Mapping[str, Tensor]) -> str:
    """Of tensors by name: kinds, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()
