"""What was fitted, kept in a folder: fitted.json beside fitted.safetensors, both checked when read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pellucid.files import write_json

TOLD, LEARNED = "fitted.json", "fitted.safetensors"

MAX_BYTES = 2**20
"""Of fitted.json."""


def save_fitted(
    folder: str | Path, kind: str, options: Mapping[str, int | float | bool | str], tensors: Mapping[str, Tensor]
) -> None:
    """Write what was fitted into a folder, which is made where it is missing."""
    from safetensors.torch import save_file

    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, place / LEARNED)
    write_json(place / TOLD, {"format": 1, "kind": kind, "options": dict(options)})


def load_fitted(
    folder: str | Path, kind: str, names: Sequence[str]
) -> tuple[dict[str, int | float | bool | str], dict[str, Tensor]]:
    """The options and tensors of what was fitted.

    Raises:
        ValueError: the folder holds no such files, something of another kind, other tensors, or numbers that are NaN.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    place = Path(folder)
    try:
        if (place / TOLD).stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
        told = json.loads((place / TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{place / TOLD}: not readable JSON ({error})") from error
    if not isinstance(told, dict) or told.get("format") != 1 or told.get("kind") != kind:
        given = told.get("kind") if isinstance(told, dict) else told
        raise ValueError(f"{place / TOLD}: kind must be {kind!r} in format 1, got {given!r:.80}")
    options = told.get("options")
    if not isinstance(options, dict) or not all(_is_plain(value) for value in options.values()):
        raise ValueError(f"{place / TOLD}: options must map names to plain values")
    try:
        tensors = load_file(place / LEARNED)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{place / LEARNED}: not readable safetensors ({error})") from error
    if set(tensors) != set(names):
        raise ValueError(f"{place / LEARNED}: must hold {', '.join(names)}, got {', '.join(sorted(tensors))}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{place / LEARNED}: {name} must be finite")
    return options, tensors


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
