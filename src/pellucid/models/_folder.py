"""A model's folder: model.json, its keys checked, beside a weights file with the hash it tells; safely written."""

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from pellucid.checks import near
from pellucid.files import write_json

from .weights import sha256, write_weights

FILE = "model.json"
WEIGHTS = "weights.safetensors"
LEFT = re.compile(r"weights-[0-9a-f]{16}\.safetensors")
"""Weights files that stand in for WEIGHTS while that one is in use."""

MAX_BYTES = 64 * 2**20
KEYS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "architecture": str,
    "arguments": dict,
    "input": dict,
    "classes": list,
    "class_ids": list,
    "weights": dict,
    "fingerprint": dict,
    "record": dict,
}
OPTIONAL = frozenset({"class_ids", "fingerprint", "record"})


def write_folder(folder: Path, network: nn.Module, tell: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> None:
    """Write weights and model.json; what that says is told once the weights file's name and hash are known.

    Raises:
        ValueError: the logits of the fingerprint it tells are not finite; what was there is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old = _weights_named(folder / FILE)
    with _beside(folder / WEIGHTS) as new_weights, _beside(folder / FILE) as new_file:
        write_weights(new_weights, network.state_dict())
        digest = sha256(new_weights)
        is_taken = old is not None and old.name == WEIGHTS
        weights = folder / (f"weights-{digest[:16]}.safetensors" if is_taken else WEIGHTS)
        told = tell({"file": weights.name, "sha256": digest})
        if not all(map(math.isfinite, told["fingerprint"]["logits_first8"])):
            raise ValueError("a model that answers nan or infinity is not saved; if it is being trained, lower lr")
        write_json(new_file, told)
        _put(new_weights, weights)
        _put(new_file, folder / FILE)  # the last step: what it says is there
    if old is not None and old != weights:
        old.unlink(missing_ok=True)


def settle(folder: str | Path) -> None:
    """Give a saved model's weights file its usual name, weights.safetensors; those an interrupted save left are gone.

    Raises:
        ValueError: the folder holds no sound model.
    """
    place = Path(folder)
    told = read_told(place)
    weights = weights_file(place, told["weights"])
    if weights.name != WEIGHTS:
        with _beside(place / WEIGHTS) as copied, _beside(place / FILE) as new_file:
            shutil.copyfile(weights, copied)
            write_json(new_file, {**told, "weights": {**told["weights"], "file": WEIGHTS}})
            _put(copied, place / WEIGHTS)
            _put(new_file, place / FILE)
    for left in place.glob("weights-*.safetensors"):
        if LEFT.fullmatch(left.name):
            left.unlink()


def read_told(folder: Path) -> dict[str, Any]:
    """What a folder's model.json says, its keys and their kinds checked."""
    path = folder / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable JSON ({error})") from error
    if not isinstance(told, dict):
        raise ValueError(f"{path}: must be a JSON object")
    unknown = sorted(set(told) - set(KEYS))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}{near(unknown[0], KEYS)}")
    for key, kind in KEYS.items():
        if key not in told and key not in OPTIONAL:
            raise ValueError(f"{path}: key {key!r} is missing")
        if key in told and not isinstance(told[key], kind):
            raise ValueError(f"{path}: {key} must be of type {kind.__name__}, got {type(told[key]).__name__}")  # type: ignore[union-attr]
    if told["format"] != 1:
        raise ValueError(f"{path}: format must be 1, got {told['format']}")
    return told


def weights_file(folder: Path, told: Mapping[str, Any]) -> Path:
    """The weights file that a model.json names, its hash checked."""
    name, expected = told.get("file"), told.get("sha256")
    if set(told) - {"file", "sha256"} or not isinstance(name, str) or not isinstance(expected, str):
        raise ValueError(f"{folder / FILE}: weights must give file and sha256, nothing else")
    path = folder / name
    if Path(name).name != name or path.suffix != ".safetensors":
        raise ValueError(f"{folder / FILE}: weights file must be a .safetensors file in this folder, got {name!r}")
    if not path.is_file():
        raise ValueError(f"{path}: the weights file is missing")
    if sha256(path) != expected.lower():
        raise ValueError(f"{path}: its sha256 is not the one in model.json: damaged, or replaced")
    return path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary neighbour to write into; it is gone at the end, moved or removed."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        yield temporary
    except OSError as error:
        if error.errno is None:  # told already, by one within
            raise
        reason = f"({error.strerror}); is the disk full? What was there is kept"
        raise OSError(f"{path.parent}: its model could not be written {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _put(new: Path, path: Path) -> None:
    """Move a file to its place, both on the disk before anything else happens: a machine may lose its power."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)
    if os.name == "posix":  # elsewhere folders cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _weights_named(path: Path) -> Path | None:
    """The weights file of a model.json, if there is a sound one."""
    try:
        return weights_file(path.parent, read_told(path.parent)["weights"])
    except ValueError:
        return None
