"""What was learned, as safetensors and JSON in a folder of its own; no class and no code is read back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pellucid.files import new_folder, read_object, write_json
from pellucid.models import network_of, weights_hash
from pellucid.models.weights import put_weights, read_weights
from pellucid.records import record

TOLD, TENSORS, RECORD = "fitted.json", "fitted.safetensors", "record.json"


def write(
    folder: str | Path,
    kind: str,
    model: nn.Module,
    told: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    force: bool,
) -> None:
    """Write what was learned for a model, and how.

    Raises:
        ValueError: the folder may not be made.
    """
    from safetensors.torch import save_file

    classifier = weights_hash(network_of(model))
    with new_folder(folder, force=force, mark=RECORD, command=kind) as place:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, place / TENSORS)
        write_json(place / TOLD, {"format": 1, "kind": kind, "classifier": classifier, **told})
        about = record(kind, options=told.get("options", {}), model={"hash": classifier})
        write_json(place / RECORD, about.json())


def read(folder: str | Path, kind: str, model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was told and learned.

    Raises:
        ValueError: the folder holds nothing of that kind, or something that was fitted on other weights.
    """
    place = Path(folder)
    if not (place / TOLD).is_file():
        raise ValueError(f"{folder}: is no saved {kind} (the folder has no {TOLD})")
    told = read_object(place / TOLD)
    if told.get("format") != 1 or told.get("kind") != kind:
        raise ValueError(f"{place / TOLD}: must be of kind {kind}, format 1, got {told.get('kind')!r}")
    if told.get("classifier") != weights_hash(network_of(model)):
        raise ValueError(f"{folder}: was fitted on a classifier with other weights; fit it on this one")
    return told, read_weights(place / TENSORS)


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
