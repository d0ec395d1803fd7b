"""model.json: what a folder says about its network. Everything in it is checked; nothing in it names code to run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import near

from ._folder import FILE, read_told, weights_file, write_folder
from ._heads import attach, parted
from .cut import parted_cut
from .model import Model
from .probed import probed
from .weights import no_larger_than, put_weights, read_weights
from .zoo._build import construct

TABLE = "mlp"
"""The architecture of tables; all others see pictures."""

MAX_SIDE = 16384

MOST_VALUES = 2**25
"""Of one image: reading a folder asks its network about one, which could take more memory than there is."""

MOST_WHOLE = 2**28
"""Parameters of a network of which a part alone is kept: the whole is built first, whatever the size of the file."""

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
    told = read_told(folder)
    if told["architecture"] == TABLE:
        raise ValueError(
            f"{folder}: is a model of tables, not of pictures; ask it with `pellucid predict`, of a .csv file"
        )
    weights = weights_file(folder, told["weights"])
    try:
        size = weights.stat().st_size
        with no_larger_than(size if parted_cut(told["arguments"])[1] is None else max(size, MOST_WHOLE)):
            network = build(told["architecture"], told["arguments"])
        model = _model(network, told, folder)
    except ValueError as error:
        raise ValueError(f"{folder / FILE}: {error}") from error
    put_weights(network, read_weights(weights), str(weights))
    model.eval()
    if "fingerprint" in told:
        try:
            answer = fingerprint(model)
        except ValueError as error:  # such as a layer that a network is left behind and does not reach
            raise ValueError(f"{folder / FILE}: {error}") from error
        check_fingerprint(answer, told["fingerprint"], folder)
    return model


def save(model: Model, folder: str | Path, *, record: Mapping[str, Any] | None = None) -> None:
    """Write model.json and weights.safetensors into a folder, which is made where it is missing; with a fingerprint.

    A model that the folder held before stays whole until the new one is: the weights file is weights.safetensors, or,
    where that is the one before, another with the hash of its content in its name; `settle` gives the usual name back.

    Raises:
        ValueError: the model was not built by name, or changed since, so that no file could say how to build it again.
    """
    if model.build is None:
        raise ValueError("a model can be saved only if it was built by name (zoo, torchvision or timm)")
    _check_built(model.network, *model.build)
    write_folder(Path(folder), model.network, lambda weights: _told(model, weights, record or {}))


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
    wanted = shapes_of(architecture, arguments)
    found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    names = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if names:
        spec = ",".join([architecture, *(f"{key}={value}" for key, value in arguments.items())])
        raise ValueError(
            f"the network is not the one that {spec} builds: {names[0]} must have shape "
            f"{wanted.get(names[0], 'none')}, got {found.get(names[0], 'none')}; load it with the arguments that build "
            "it as it is (torchvision:resnet18,num_classes=10), or keep it in a package.module:function"
        )


def shapes_of(architecture: str, arguments: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of the network that an architecture and its arguments build."""
    try:
        with torch.device("meta"):
            fresh = build(architecture, arguments)
    except ValueError:  # some compute with their first weights, which needs memory
        with torch.random.fork_rng(devices=[]):
            fresh = build(architecture, arguments)
    return {name: tuple(tensor.shape) for name, tensor in fresh.state_dict().items()}


def build(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network from a model.json's architecture and arguments, with random weights; a head or probe of ours too."""
    whole, cut = parted_cut(arguments)
    own, head = parted(whole)
    network = _built(architecture, own)
    if head is not None:
        classes = own.get("num_classes", own.get("classes"))
        if not isinstance(classes, int) or classes < 1:
            raise ValueError(f"arguments must give the number of classes beside new_head, got {classes!r}")
        network = attach(network, *head, classes)
    return network if cut is None else probed(network, cut)


def _built(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network of the lists."""
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
    return construct(name, arguments)


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


def check_fingerprint(logits: list[float], told: Mapping[str, Any], folder: Path) -> None:
    """Refuse a model that does not answer as what model.json tells of it."""
    unknown = set(told) - {"input", "logits_first8", "tolerance"}
    stored, tolerance = told.get("logits_first8"), told.get("tolerance", 1e-3)
    is_sound = are_numbers(stored) and are_numbers([tolerance]) and 0 < tolerance <= 1
    if unknown or told.get("input") != "ramp-v1" or not is_sound:
        raise ValueError(f"{folder / FILE}: fingerprint must give input ramp-v1, logits_first8, tolerance in (0, 1]")
    now = torch.tensor(logits, dtype=torch.float64)
    then = torch.tensor(stored, dtype=torch.float64)
    scale = max(1.0, float(then.abs().max()) if len(then) else 1.0)
    if now.shape != then.shape or not float((now - then).abs().max()) <= tolerance * scale:  # also when it is NaN
        raise ValueError(f"{folder}: the network does not answer as when it was saved (fingerprint differs)")


def _model(network: nn.Module, told: Mapping[str, Any], folder: Path) -> Model:
    fed = told["input"]
    unknown = sorted(set(fed) - set(INPUT_KEYS))
    if unknown:
        raise ValueError(f"input: unknown key {unknown[0]!r}{near(unknown[0], INPUT_KEYS)}")
    size, mean, std = fed.get("size"), fed.get("mean"), fed.get("std")
    if not (_sides(size) and are_numbers(mean) and are_numbers(std)):
        raise ValueError("input must give size [H, W], mean and std, one number a channel")
    if fed.get("channels", len(mean)) != len(mean):
        raise ValueError(f"input: mean must have {fed['channels']} numbers, one a channel, got {len(mean)}")
    if len(mean) * size[0] * size[1] > MOST_VALUES:
        raise ValueError(
            f"input: size must leave an image at most {MOST_VALUES:,} values, got {len(mean)} x {size[0]} x {size[1]}"
        )
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


def are_numbers(value: Any) -> bool:
    """Whether a value is a list of finite numbers."""
    return isinstance(value, list) and all(type(n) in {int, float} and -1e30 < n < 1e30 for n in value)


def _sides(value: Any) -> bool:
    """Whether a value is a height and a width."""
    return are_numbers(value) and len(value) == 2 and all(type(n) is int and 1 <= n <= MAX_SIDE for n in value)
