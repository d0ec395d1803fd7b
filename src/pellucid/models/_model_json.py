"""model.json: what a folder says about its network. Everything in it is checked; nothing in it names code to run."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import near
from pellucid.files import write_json

from .model import Model
from .weights import no_larger_than, put_weights, read_weights, sha256
from .zoo._build import build as build_zoo

FILE = "model.json"
WEIGHTS = "weights.safetensors"
MAX_BYTES = 64 * 2**20
MAX_SIDE = 16384
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
INPUT_KEYS = ("size", "resize", "crop", "interpolation", "channels", "mean", "std")


def is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a model.json."""
    return (folder / FILE).is_file()


def load_folder(folder: Path) -> Model:
    """Build the network a folder names, check its weights file, fill it, and compare the fingerprint.

    Raises:
        ValueError: model.json is broken or asks for something unknown; the weights do not match hash, architecture
            or fingerprint.
    """
    told = _read(folder / FILE)
    weights = _weights_file(folder, told["weights"])
    try:
        with no_larger_than(weights.stat().st_size):
            network = build(told["architecture"], told["arguments"])
        model = _model(network, told, folder)
    except ValueError as error:
        raise ValueError(f"{folder / FILE}: {error}") from error
    put_weights(network, read_weights(weights), str(weights))
    model.eval()
    if "fingerprint" in told:
        _check_fingerprint(model, told["fingerprint"], folder)
    return model


def save(model: Model, folder: str | Path, *, record: Mapping[str, Any] | None = None) -> None:
    """Write model.json and weights.safetensors into a folder, which is made where it is missing; with a fingerprint.

    A model that the folder held before stays whole until the new one is: its weights file is then another one,
    with the hash of its content in its name.

    Raises:
        ValueError: the model was not built by name, or changed since, so that no file could say how to build it again.
    """
    from safetensors.torch import save_file

    if model.build is None:
        raise ValueError("a model can be saved only if it was built by name (zoo, torchvision or timm)")
    _check_built(model.network, *model.build)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.network.state_dict().items()}
    with _beside(folder / WEIGHTS) as new_weights, _beside(folder / FILE) as new_file:
        save_file(state, new_weights)
        digest = sha256(new_weights)
        weights = folder / (f"weights-{digest[:16]}.safetensors" if (folder / FILE).exists() else WEIGHTS)
        write_json(new_file, _told(model, {"file": weights.name, "sha256": digest}, record or {}))
        old = _weights_named(folder / FILE)
        new_weights.replace(weights)
        new_file.replace(folder / FILE)  # the last step: what it says is there
    if old is not None and old != weights:
        old.unlink(missing_ok=True)


def _told(model: Model, weights: Mapping[str, str], record: Mapping[str, Any]) -> dict[str, Any]:
    """What model.json says."""
    assert model.build is not None
    architecture, arguments = model.build
    geometry = model.geometry
    return {
        "format": 1,
        "architecture": architecture,
        "arguments": dict(arguments),
        "input": {
            "size": list(geometry.size),
            "resize": list(geometry.resize) if isinstance(geometry.resize, tuple) else geometry.resize,
            "crop": list(geometry.size) if geometry.resize is not None else None,
            "interpolation": geometry.interpolation,
            "channels": geometry.channels,
            "mean": model.mean.flatten().tolist(),
            "std": model.std.flatten().tolist(),
        },
        "classes": list(model.classes),
        "class_ids": list(model.class_ids),
        "weights": dict(weights),
        "fingerprint": {"input": "ramp-v1", "logits_first8": fingerprint(model), "tolerance": 1e-3},
        "record": dict(record),
    }


def _check_built(network: nn.Module, architecture: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a network whose weights would not fit the one that its name and arguments build."""
    try:
        with torch.device("meta"):
            fresh = build(architecture, arguments)
    except ValueError:  # some compute with their first weights, which needs memory
        with torch.random.fork_rng(devices=[]):
            fresh = build(architecture, arguments)
    wanted = {name: tuple(tensor.shape) for name, tensor in fresh.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if names:
        spec = ",".join([architecture, *(f"{key}={value}" for key, value in arguments.items())])
        raise ValueError(
            f"the network is not the one that {spec} builds: {names[0]} must have shape "
            f"{wanted.get(names[0], 'none')}, got {found.get(names[0], 'none')}; load it with the arguments that build "
            "it as it is (torchvision:resnet18,num_classes=10), or keep it in a package.module:function"
        )


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary neighbour to write into; it is gone at the end, moved or removed."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _weights_named(path: Path) -> Path | None:
    """The weights file of a model.json, if there is a sound one."""
    try:
        return _weights_file(path.parent, _read(path)["weights"])
    except ValueError:
        return None


def build(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network from a model.json's architecture and arguments, with random weights."""
    kind, _, name = architecture.rpartition(":")
    if kind == "torchvision":
        from . import _torchvision

        return _torchvision.build(name, dict(arguments))
    if kind == "timm":
        from . import _timm

        return _timm.build(name, dict(arguments))
    if kind:
        raise ValueError(f"architecture must be a name of the zoo, torchvision:NAME or timm:NAME, got {architecture!r}")
    if "classes" not in arguments:
        raise ValueError(f"arguments of {name} must give classes, a whole number")
    return build_zoo(name, **arguments)


@torch.no_grad()
def fingerprint(model: Model) -> list[float]:
    """The first eight logits, in eval mode, of a fixed image: a ramp from 0 to 1 over channels, rows and columns."""
    count = model.geometry.channels * model.geometry.size[0] * model.geometry.size[1]
    ramp: Tensor = torch.linspace(0, 1, count, device=model.mean.device)
    modes = {module: module.training for module in model.modules()}
    try:
        logits: Tensor = model.eval()(ramp.view(1, model.geometry.channels, *model.geometry.size))
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [float(value) for value in logits[0, :8]]


def _check_fingerprint(model: Model, told: Mapping[str, Any], folder: Path) -> None:
    unknown = set(told) - {"input", "logits_first8", "tolerance"}
    stored, tolerance = told.get("logits_first8"), told.get("tolerance", 1e-3)
    is_sound = _numbers(stored) and _numbers([tolerance]) and 0 < tolerance <= 1
    if unknown or told.get("input") != "ramp-v1" or not is_sound:
        raise ValueError(f"{folder / FILE}: fingerprint must give input ramp-v1, logits_first8, tolerance in (0, 1]")
    now = torch.tensor(fingerprint(model), dtype=torch.float64)
    then = torch.tensor(stored, dtype=torch.float64)
    scale = max(1.0, float(then.abs().max()) if len(then) else 1.0)
    if now.shape != then.shape or not float((now - then).abs().max()) <= tolerance * scale:  # also when it is NaN
        raise ValueError(f"{folder}: the network does not answer as when it was saved (fingerprint differs)")


def _read(path: Path) -> dict[str, Any]:
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


def _model(network: nn.Module, told: Mapping[str, Any], folder: Path) -> Model:
    fed = told["input"]
    unknown = sorted(set(fed) - set(INPUT_KEYS))
    if unknown:
        raise ValueError(f"input: unknown key {unknown[0]!r}{near(unknown[0], INPUT_KEYS)}")
    size, mean, std = fed.get("size"), fed.get("mean"), fed.get("std")
    if not (_sides(size) and _numbers(mean) and _numbers(std)):
        raise ValueError("input must give size [H, W], mean and std, one number a channel")
    if fed.get("channels", len(mean)) != len(mean):
        raise ValueError(f"input: mean must have {fed['channels']} numbers, one a channel, got {len(mean)}")
    crop = fed.get("crop")
    if crop is not None and size not in ([crop, crop], crop):
        raise ValueError(f"input: crop must equal size {size}, got {crop}")
    resize = fed.get("resize")
    if not (resize is None or _sides(resize) or _sides([resize, resize])):
        raise ValueError(f"input: resize must be a whole number or [H, W], up to {MAX_SIDE}, got {resize!r}")
    if not all(isinstance(name, str) for key in ("classes", "class_ids") for name in told.get(key, [])):
        raise ValueError("classes and class_ids must be lists of strings")
    return Model(
        network,
        mean=mean,
        std=std,
        classes=told["classes"],
        class_ids=told.get("class_ids", ()),
        size=size,
        resize=tuple(resize) if isinstance(resize, list) else resize,
        interpolation=str(fed.get("interpolation", "bilinear")),
        source={"folder": str(folder), "architecture": told["architecture"], "weights": told["weights"]},
        build=(told["architecture"], told["arguments"]),
    )


def _weights_file(folder: Path, told: Mapping[str, Any]) -> Path:
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


def _numbers(value: Any) -> bool:
    """Whether a value is a list of finite numbers."""
    return isinstance(value, list) and all(type(n) in {int, float} and -1e30 < n < 1e30 for n in value)


def _sides(value: Any) -> bool:
    """Whether a value is a height and a width."""
    return _numbers(value) and len(value) == 2 and all(type(n) is int and 1 <= n <= MAX_SIDE for n in value)
