"""What was fitted, kept in a folder as safetensors and JSON, checked when read; no class and no code is read back.

`write` and `read` are for what was fitted on a network, into a folder of its own, bound to the network's weights;
`save_fitted` and `load_fitted` for what knows of numbers alone, into any folder.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import near
from pellucid.files import new_folder, read_object, write_json
from pellucid.models import network_of, weights_hash
from pellucid.models.weights import put_weights, read_weights, write_weights
from pellucid.records import record

TOLD, TENSORS, RECORD = "fitted.json", "fitted.safetensors", "record.json"

MAX_BYTES = 2**20
"""Of fitted.json."""


def write(
    folder: str | Path,
    kind: str,
    model: nn.Module,
    told: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    force: bool,
) -> None:
    """Write what was learned for a model, and how, into a new folder.

    Raises:
        ValueError: the folder may not be made.
    """
    classifier = weights_hash(network_of(model))
    with new_folder(folder, force=force, mark=RECORD, command=kind) as place:
        _write(place, kind, {"classifier": classifier, **told}, tensors)
        about = record(kind, options=told.get("options", {}), model={"hash": classifier})
        write_json(place / RECORD, about.json())


def read(folder: str | Path, kind: str | Sequence[str], model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was told and learned; of several kinds "kind" among the told says which.

    Raises:
        ValueError: the folder holds nothing of that kind, or something that was fitted on other weights.
    """
    told = _told(Path(folder), [kind] if isinstance(kind, str) else kind)
    if told.get("classifier") != weights_hash(network_of(model)):
        raise ValueError(f"{folder}: was fitted on a classifier with other weights; fit it on this one")
    return told, read_weights(Path(folder) / TENSORS)


@contextmanager
def read_errors(folder: str | Path) -> Iterator[None]:
    """What a changed file makes go wrong, told as the file's fault."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{Path(folder) / TOLD}: is damaged ({error})") from error


def put(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, folder: str | Path) -> None:
    """Load the tensors whose names start with a prefix into a module, checked."""
    mine = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    put_weights(module, mine, str(Path(folder) / TENSORS))


def save_fitted(
    folder: str | Path, kind: str, options: Mapping[str, int | float | bool | str], tensors: Mapping[str, Tensor]
) -> None:
    """Write what was fitted into a folder, which is made where it is missing."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    _write(place, kind, {"options": dict(options)}, tensors)


def load_fitted(
    folder: str | Path, kind: str, names: Sequence[str]
) -> tuple[dict[str, int | float | bool | str], dict[str, Tensor]]:
    """The options and tensors of what was fitted.

    Raises:
        ValueError: the folder holds no such files, something of another kind, other tensors, or numbers that are NaN.
    """
    place = Path(folder)
    options = _told(place, [kind]).get("options")
    if not isinstance(options, dict) or not all(_is_plain(value) for value in options.values()):
        raise ValueError(f"{place / TOLD}: options must map names to plain values")
    tensors = read_weights(place / TENSORS)
    if set(tensors) != set(names):
        raise ValueError(f"{place / TENSORS}: must hold {', '.join(names)}, got {', '.join(sorted(tensors))}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"{place / TENSORS}: {name} must be finite")
    return options, tensors


def _write(place: Path, kind: str, told: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    write_weights(place / TENSORS, tensors)
    write_json(place / TOLD, {"format": 1, "kind": kind, **told})


def _told(place: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """What fitted.json says, of one of the kinds."""
    file, either = place / TOLD, " or ".join(kinds)
    if not file.is_file():
        raise ValueError(f"{place}: is no saved {either} (the folder has no {TOLD})")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file}: is larger than {MAX_BYTES // 2**20} MiB")
    told = read_object(file)
    kind = told.get("kind")
    if told.get("format") != 1 or kind not in kinds:
        raise ValueError(f"{file}: must be of kind {either}, format 1, got {kind!r:.80}{near(str(kind), kinds)}")
    return told


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
