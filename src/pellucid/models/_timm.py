"""Bridge to timm's networks: a fixed list of names, input size, normalisation and class names from its metadata."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from pellucid.checks import near

from ._torchvision import check_arguments, numbered, tensors_only
from .model import Model
from .weights import first_line

FIXED = frozenset({"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"})
"""Arguments a model.json may not set: they would fetch or read something."""


def names() -> list[str]:
    """timm's architectures, without the tags of their weights."""
    return [*timm.list_models()]


def build(name: str, arguments: dict[str, Any]) -> nn.Module:
    """A network of the list with random weights."""
    base = name.partition(".")[0]
    if base not in names():
        raise ValueError(f"timm has no model {base!r}{near(base, names())}")
    forbidden = FIXED & set(arguments)
    if forbidden:
        raise ValueError(f"timm:{name}: argument {min(forbidden)!r} is not allowed")
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    except Exception as error:  # what wrong arguments raise depends on the architecture
        raise ValueError(f"timm:{name}: {first_line(error)}") from error
    return network


def load(text: str, arguments: Mapping[str, int | float] = MappingProxyType({}), *, random: bool = False) -> Model:
    """`NAME`, `NAME.TAG` or either with `@none`; random leaves the weights for the caller to fill."""
    name, _, tag = text.partition("@")
    if tag and tag.lower() != "none":
        raise ValueError(f"timm:{text}: name weights as timm does, timm:{name}.TAG; after @ only none is known")
    random = random or tag.lower() == "none"
    check_arguments(f"timm:{name}", arguments, is_filled=random)
    network = build(name, dict(arguments)) if random else _pretrained(name)
    told = cast(dict[str, Any], network.pretrained_cfg)
    channels, height, width = told["input_size"]
    channels = arguments.get("in_chans", channels)
    resize = _resize(f"timm:{name}", told, needed=not random)
    count = arguments.get("num_classes", told["num_classes"])
    classes, ids = _classes(network, count) if count == told["num_classes"] else (numbered(count), [])
    return Model(
        network,
        mean=[*told["mean"]][:channels],
        std=[*told["std"]][:channels],
        classes=classes,
        class_ids=ids,
        size=(height, width),
        resize=resize,
        interpolation=told["interpolation"] if told["interpolation"] != "random" else "bilinear",
        source={"architecture": f"timm:{name}", "weights": "none" if random else told.get("tag") or "default"},
        build=(f"timm:{name}", dict(arguments)),
    )


def _resize(spec: str, told: dict[str, Any], *, needed: bool) -> int | tuple[int, int]:
    """timm resizes so that the crop is `crop_pct` of the picture: its shorter side, or (squash) both sides.

    What cannot be said so (a border, a picture smaller than its crop) is refused where it is needed, for weights that
    were trained with it; else the picture is cut.
    """
    height, width = told["input_size"][1:]
    mode, share = told.get("crop_mode") or "center", told["crop_pct"]
    if needed and (mode not in {"center", "squash"} or share > 1 or (mode == "center" and height != width)):
        raise ValueError(
            f"{spec}: its pictures are framed in a way that is not supported (crop mode {mode}, crop_pct {share}, "
            f"{height} x {width}); load it by a package.module:function that returns a pellucid.models.Model"
        )
    scaled = [math.floor(side / min(1, share)) for side in (height, width)]
    return scaled[0] if height == width and mode != "squash" else (scaled[0], scaled[1])


def _classes(network: nn.Module, count: int) -> tuple[list[str], list[str]]:
    subset = infer_imagenet_subset(network)
    if subset is None:
        return [f"class {index}" for index in range(count)], []
    info = ImageNetInfo(subset)
    ids = [info.index_to_label_name(index) for index in range(count)]
    return [info.index_to_description(index) for index in range(count)], ids


def _pretrained(name: str) -> nn.Module:
    build(name, {})  # an unknown name gets the better error
    try:
        with tensors_only():
            network: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # hub clients raise many kinds; all mean that the weights are not to be had
        raise ValueError(
            f"timm:{name}: its weights could not be fetched ({first_line(error)[:200]}); "
            f"give --weights FILE, or take random ones with timm:{name}@none"
        ) from error
    return network
