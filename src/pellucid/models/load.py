"""MODEL, as a user writes it, becomes a Model ready to be asked.

runs/digits                            a folder with model.json and weights.safetensors
torchvision:resnet50                   its DEFAULT weights; @IMAGENET1K_V1 names others, @none leaves random ones
torchvision:resnet50,num_classes=10    with `weights`, or @none before the comma; its classes are named 0 to 9
timm:vit_base_patch16_224.augreg_in1k  likewise
zoo:mobilenet_v1,width=0.75            a network of our own, with `weights`, or mobilenet_v1@none; where torchvision
                                       has it too, its state dict will do
package.module:function                runs your code, which returns a Model
"""

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_range, near

from ._model_json import is_model_folder, load_folder
from .create import create
from .model import Model
from .weights import first_line, put_weights, read_weights, sha256, weights_hash
from .zoo import from_torchvision
from .zoo._build import architecture, default
from .zoo._convert import is_torchvision


def load(spec: str | os.PathLike[str], *, weights: str | Path | None = None) -> Model:
    """Load a model, on the CPU and in eval mode.

    Args:
        spec: MODEL, in one of the forms above.
        weights: a .safetensors, .pt or .pth state dict to put into the network instead of its own.

    Raises:
        ValueError: nothing of that name, or weights that are missing, damaged, or do not fit; says the remedy.
    """
    text = os.fspath(spec)
    kind, _, rest = text.partition(":")
    if text and Path(text).is_dir():
        if not is_model_folder(Path(text)):
            raise ValueError(f"{text}: is not a model (the folder has no model.json)")
        model = load_folder(Path(text))
    elif kind == "torchvision" and rest:
        from . import _torchvision

        model = _torchvision.load(*arguments_of(rest, kind), random=weights is not None)
    elif kind == "timm" and rest:
        from . import _timm

        model = _timm.load(*arguments_of(rest, kind), random=weights is not None)
    elif kind == "zoo" and rest:
        model = _zoo(rest, trained=weights is not None)
    elif rest and all(part.isidentifier() for part in [*kind.split("."), rest]):
        model = _user_code(kind, rest)
    else:
        beside = [p.name for p in Path().iterdir() if is_model_folder(p)]
        raise ValueError(
            f"{text}: no such model; give a folder with model.json, torchvision:NAME, timm:NAME, zoo:NAME "
            f"or package.module:function{near(text, beside)}"
        )
    if weights is not None:
        state, told = _renamed(model, read_weights(weights))
        _check_head(model, state, text, str(weights))
        put_weights(model.network, state, str(weights))
        model.source["weights"] = {"file": str(weights), "sha256": sha256(Path(weights)), **told}
    model.source = {"spec": text, **model.source, "hash": weights_hash(model.network)}
    if model.build is not None:  # our own, torchvision's and timm's nets are known to take it; it is faster on a CPU
        model.network.to(memory_format=torch.channels_last)
    return model.eval()


def _zoo(text: str, *, trained: bool) -> Model:
    """`NAME`, `NAME,argument=number`, with `@none` behind the name for random weights."""
    head, arguments = arguments_of(text, "zoo")
    name = head.removesuffix("@none")
    architecture(name)
    if not trained and name == head:
        raise ValueError(f"zoo:{name} has no weights of its own: give --weights FILE, or a folder with model.json")
    count = arguments.pop("classes", default(name, "classes"))
    if isinstance(count, bool) or not isinstance(count, int):
        raise ValueError(f"classes must be a whole number, got {count}")
    check_range("classes", count, 1, 1_000_000)
    if count != 1000:
        return create(name, classes=[str(index) for index in range(count)], **arguments)
    from . import _torchvision

    model = create(name, classes=_torchvision.imagenet_classes(), **arguments)
    model.class_ids = _torchvision.imagenet_ids()
    return model


def _renamed(model: Model, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A state dict under our layers' names, where torchvision's network of the kind wrote it; and that this was so."""
    name = model.build[0] if model.build is not None else ":"
    if ":" in name or set(state) <= set(model.network.state_dict()) or not is_torchvision(name, state):
        return state, {}
    return from_torchvision(name, state), {"names": "torchvision's, renamed to ours"}


def arguments_of(text: str, kind: str) -> tuple[str, dict[str, Any]]:
    """`HEAD,argument=value,...` taken apart: numbers, and for our own networks true, false and words."""
    head, *pairs = text.split(",")
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals and kind == "zoo" and value.isidentifier():
            arguments[key] = {"true": True, "false": False}.get(value.lower(), value)
            continue
        try:
            arguments[key] = int(value) if value.lstrip("-").isdecimal() else float(value)
        except ValueError as error:
            lack = "" if equals else " without ="
            wanted = "value" if kind == "zoo" else "number"
            raise ValueError(f"{kind} argument must be name={wanted}, got {pair!r}{lack}") from error
    return head, arguments


def _check_head(model: Model, state: Mapping[str, Tensor], spec: str, origin: str) -> None:
    """Where nothing but the number of classes differs (a head trained for others), say how to ask for the file's."""
    wanted, count = model.network.state_dict(), len(model.classes)
    differ = {name: tensor.shape for name, tensor in state.items() if tensor.shape != wanted.get(name, tensor).shape}
    counts = {shape[0] for name, shape in differ.items() if shape and (count, *shape[1:]) == wanted[name].shape}
    if model.build is None or len(counts) != 1 or any((count, *s[1:]) != wanted[n].shape for n, s in differ.items()):
        return
    layer, found, kind = next(iter(differ)).rpartition(".")[0], counts.pop(), spec.partition(":")[0]
    head = ",".join(part for part in spec.split(",") if not part.startswith(("num_classes=", "classes=")))
    raise ValueError(
        f"{origin}: seems to have {found} classes, for its layer {layer} has {found} outputs and that of {spec} "
        f"{count}; ask for {head},{'classes' if kind == 'zoo' else 'num_classes'}={found}, or, to name the classes, "
        "give a model folder or a package.module:function that returns a pellucid.models.Model"
    )


def _user_code(module: str, function: str) -> Model:
    """Import the user's module (the current folder counts) and call the function."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        made = getattr(importlib.import_module(module), function)()
    except Exception as error:  # whatever the user's code raises is told with its name, and the cause is kept
        raise ValueError(f"{module}:{function} failed: {type(error).__name__}: {first_line(error)}") from error
    if isinstance(made, Model):
        return made
    if isinstance(made, nn.Module):
        raise ValueError(
            f"{module}:{function} returned a bare {type(made).__name__}; return "
            "pellucid.models.Model(network, mean=..., std=..., classes=..., size=...), which says how to feed it"
        )
    raise ValueError(f"{module}:{function} must return a pellucid.models.Model, got {type(made).__name__}")
