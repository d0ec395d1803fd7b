"""model.json of a model of tables: as that of pictures, but `input` tells columns and scaling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pellucid.checks import near

from ._folder import FILE, read_told, weights_file, write_folder
from ._model_json import TABLE, check_fingerprint
from .scaling import Scaler
from .table_model import TableModel, mlp, ramp_logits
from .weights import no_larger_than, put_weights, read_weights, weights_hash

INPUT_KEYS = ("columns", "target", "scaler")


def is_table_model(folder: str | Path) -> bool:
    """Whether a folder holds a model of tables; ValueError when its model.json is broken."""
    return (Path(folder) / FILE).is_file() and read_told(Path(folder))["architecture"] == TABLE


def save_table_model(model: TableModel, folder: str | Path, *, record: Mapping[str, Any] | None = None) -> None:
    """Write model.json and weights.safetensors into a folder, which is made where it is missing; with a fingerprint.

    Raises:
        ValueError: the model was not built by name, or changed since.
    """
    if model.build is None:
        raise ValueError("a model can be saved only if it was built by name: use create_table_model")
    architecture, arguments = model.build
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in mlp(**arguments).state_dict().items()}
    found = {name: tensor.shape for name, tensor in model.network.state_dict().items()}
    if found != wanted:
        told = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise ValueError(f"the network is not the one that {architecture} with {told} builds; its shapes differ")
    about = {
        "format": 1,
        "architecture": architecture,
        "arguments": dict(arguments),
        "input": {"columns": list(model.columns), "target": model.target, "scaler": model.scaler.state()},
        "classes": list(model.classes),
        "fingerprint": {"input": "ramp-v1", "logits_first8": ramp_logits(model), "tolerance": 1e-3},
        "record": dict(record or {}),
    }
    write_folder(Path(folder), model.network, lambda weights: {**about, "weights": dict(weights)})


def load_table_model(folder: str | Path) -> TableModel:
    """Load a model of tables from its folder, on the CPU and in eval mode.

    Raises:
        ValueError: no such folder, a model of pictures, a broken model.json, or weights that do not match hash,
            architecture or fingerprint.
    """
    place = Path(folder)
    if not (place / FILE).is_file():
        raise ValueError(f"{folder}: is not a model (the folder has no {FILE})")
    told = read_told(place)
    if told["architecture"] != TABLE:
        raise ValueError(f"{folder}: is a model of pictures ({told['architecture']}), not of tables")
    weights = weights_file(place, told["weights"])
    try:
        with no_larger_than(weights.stat().st_size):
            model = _built(told)
    except ValueError as error:
        raise ValueError(f"{place / FILE}: {error}") from error
    put_weights(model.network, read_weights(weights), str(weights))
    source = {"spec": str(folder), "architecture": TABLE, "weights": told["weights"]}
    model.source = {**source, "hash": weights_hash(model.network)}
    model.eval()
    if "fingerprint" in told:
        check_fingerprint(ramp_logits(model), told["fingerprint"], place)
    return model


def _built(told: Mapping[str, Any]) -> TableModel:
    """The model, before its weights."""
    fed, arguments, classes = told["input"], told["arguments"], told["classes"]
    for what, found, known in (
        ("input", fed, INPUT_KEYS),
        ("arguments", arguments, ("inputs", "classes", "hidden", "layers", "dropout")),
    ):
        wrong = sorted(set(found) ^ set(known))
        if wrong:
            hint = near(wrong[0], known)
            raise ValueError(f"{what} must give {', '.join(known)}, got {', '.join(map(str, found))}{hint}")
    columns = fed["columns"]
    words = [*columns, *classes, fed["target"]] if isinstance(columns, list) else [None]
    if not all(isinstance(word, str) for word in words):
        raise ValueError("columns and classes must be lists of strings, and target a string")
    if arguments["inputs"] != len(columns) or arguments["classes"] != len(classes):
        raise ValueError(
            f"arguments must fit {len(columns)} columns and {len(classes)} classes, got inputs {arguments['inputs']} "
            f"and classes {arguments['classes']}"
        )
    if not isinstance(fed["scaler"], dict) or not isinstance(fed["scaler"].get("kind"), str):
        raise ValueError("scaler must be an object whose kind is a string")
    return TableModel(
        mlp(**arguments),
        columns=columns,
        scaler=Scaler.from_state(fed["scaler"], len(columns)),
        classes=classes,
        target=fed["target"],
        build=(TABLE, dict(arguments)),
    )
