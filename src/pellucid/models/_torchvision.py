"""Bridge to torchvision's classifiers: a fixed list of names, weights through weights_only, metadata as it states."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torchvision
from torch import nn

from pellucid.checks import check_choice, check_range, near

from .model import Model
from .weights import first_line

FIXED = frozenset({"weights", "weights_backbone", "progress", "pretrained"})
"""Arguments a model.json may not set: they would fetch something."""


def names() -> list[str]:
    """torchvision's classifiers."""
    return [*torchvision.models.list_models(module=torchvision.models)]


def build(name: str, arguments: dict[str, Any]) -> nn.Module:
    """A network of the list with random weights."""
    check_choice("torchvision model", name, names())
    if FIXED & set(arguments):
        raise ValueError(f"torchvision:{name}: argument {min(FIXED & set(arguments))!r} is not allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # GoogLeNet and Inception announce another default init
            network: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    except Exception as error:  # what wrong arguments raise depends on the architecture
        raise ValueError(f"torchvision:{name}: {first_line(error)}") from error
    return network


def load(text: str, arguments: Mapping[str, int | float] = MappingProxyType({}), *, random: bool = False) -> Model:
    """`NAME`, `NAME@WEIGHTS` or `NAME@none`; random leaves the weights for the caller to fill."""
    name, _, tag = text.partition("@")
    if name not in names():
        raise ValueError(f"torchvision has no classifier {name!r}{near(name, names())}")
    known = torchvision.models.get_model_weights(name)
    random = random or tag.lower() == "none"
    check_arguments(f"torchvision:{name}", arguments, is_filled=random)
    if random:
        network = build(name, dict(arguments))
        chosen = known.DEFAULT
        tag = "none"
    else:
        tag = tag or "DEFAULT"
        if tag not in known.__members__:
            raise ValueError(f"torchvision:{name} has weights {', '.join(known.__members__)}; got {tag!r}")
        chosen = known[tag]
        network = _pretrained(name, chosen)
    preset, classes = chosen.transforms(), chosen.meta["categories"]
    count = arguments.get("num_classes", len(classes))
    classes = classes if count == len(classes) else numbered(count)
    source = {"architecture": f"torchvision:{name}", "weights": tag if tag == "none" else chosen.name}
    size = sides_of(preset.crop_size)
    resize = preset.resize_size[0]
    interpolation = preset.interpolation.value
    return Model(
        network,
        mean=preset.mean,
        std=preset.std,
        classes=classes,
        size=size,
        resize=resize,
        interpolation=interpolation,
        class_ids=imagenet_ids() if len(classes) == 1000 else (),
        source=source,
        build=(f"torchvision:{name}", dict(arguments)),
    )


def check_arguments(spec: str, arguments: Mapping[str, int | float], *, is_filled: bool) -> None:
    """Refuse arguments beside a library's own weights, which fit the network without them, and odd class counts."""
    if arguments and not is_filled:
        raise ValueError(
            f"{spec}: its own weights fit only the network without arguments; give --weights FILE, or take random "
            f"ones with {spec}@none,{next(iter(arguments))}=..."
        )
    count = arguments.get("num_classes", 1)
    if not isinstance(count, int):
        raise ValueError(f"num_classes must be a whole number, got {count}")
    check_range("num_classes", count, 1, 1_000_000)


def numbered(count: int | float) -> list[str]:
    """Names of classes of which only the number is known."""
    return [str(index) for index in range(int(count))]


def sides_of(crop: Sequence[int]) -> tuple[int, int]:
    """(H, W) of a preset's crop."""
    return (crop[0], crop[0]) if len(crop) == 1 else (crop[0], crop[1])


def imagenet_classes() -> list[str]:
    """The 1,000 names of ImageNet's classes, in the standard order."""
    return list(torchvision.models.ResNet50_Weights.DEFAULT.meta["categories"])


def imagenet_ids() -> tuple[str, ...]:
    """Their wnids, in the same order, as timm lists them."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_label_name(index) for index in range(1000))


def _pretrained(name: str, weights: Any) -> nn.Module:
    file = weights.url.rsplit("/", 1)[-1]
    place = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        with tensors_only():
            network: nn.Module = torchvision.models.get_model(name, weights=weights, progress=False)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(
            f"torchvision:{name}: its weights could not be fetched ({reason}); put {file} into {place}, "
            f"or give --weights FILE, or take random ones with torchvision:{name}@none"
        ) from error
    except Exception as error:  # a damaged file in the cache raises whatever its reader meets
        raise ValueError(
            f"torchvision:{name}: {place / file} cannot be read ({first_line(error)}); delete it"
        ) from error
    return network


@contextmanager
def tensors_only() -> Iterator[None]:
    """Make every torch.load inside refuse anything but tensors, also where a library asks otherwise."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
