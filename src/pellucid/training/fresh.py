"""A network to be trained, as a user names it, made ready for a set: its classes, its images, its statistics."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from pellucid.checks import near
from pellucid.geometry import Geometry
from pellucid.models import Model, load
from pellucid.models.zoo import build
from pellucid.models.zoo._build import construct, names

SMALLEST = 16
"""Images of up to this side get digits_cnn where no model is named, larger ones resnet20 or, beyond 64, resnet18."""


def fresh_model(
    name: str, *, classes: Sequence[str], geometry: Geometry, mean: Sequence[float], std: Sequence[float]
) -> Model:
    """A Model with random weights from torch's global generator, in training mode; or a trained one, to go on with.

    Args:
        name: an architecture of the zoo (also zoo:NAME,argument=value), torchvision:NAME, timm:NAME, or the folder of a
            trained model with the same classes; "" chooses one by the size of the images.
        classes: K names, in the order of the targets.
        geometry: the frame of the images.
        mean: per channel, of the images in [0, 1].
        std: per channel, positive.

    Raises:
        ValueError: no such architecture, or one that does not take these images or classes.
    """
    side = geometry.size[0]
    is_named = bool(name)
    name = name or ("digits_cnn" if side <= SMALLEST else "resnet20" if side <= 64 else "resnet18")
    if Path(name).is_dir():
        return _trained(name, classes, geometry)
    kind, _, rest = name.partition(":")
    if kind in {"torchvision", "timm"} and rest:
        network, build_of = _library(kind, rest, len(classes), geometry)
    else:
        network, build_of = _zoo(name.removeprefix("zoo:"), len(classes), geometry, warns=is_named)
    return Model(
        network,
        mean=mean,
        std=std,
        classes=classes,
        size=geometry.size,
        resize=geometry.resize,
        interpolation=geometry.interpolation,
        source={"architecture": build_of[0], "weights": "none"},
        build=build_of,
    ).train()


def _trained(folder: str, classes: Sequence[str], geometry: Geometry) -> Model:
    model = load(folder)
    if model.classes != tuple(classes):
        raise ValueError(f"{folder}: its classes are {_some(model.classes)}, but the set's are {_some(classes)}")
    if model.geometry.channels != geometry.channels:
        raise ValueError(f"{folder}: takes {model.geometry.channels} channels, but the images have {geometry.channels}")
    if model.geometry.size != geometry.size:
        (high, wide), side = model.geometry.size, geometry.size[0]
        raise ValueError(
            f"{folder}: takes {high} x {wide} images, but the set's are {side} x {side}; use --size {high}"
        )
    return model.train()


def _library(kind: str, rest: str, classes: int, geometry: Geometry) -> tuple[nn.Module, tuple[str, dict[str, object]]]:
    head, _, more = rest.partition(",")
    spec = f"{kind}:{head.removesuffix('@none')}@none,num_classes={classes}{',' if more else ''}{more}"
    if kind == "timm" and geometry.channels != 3:
        spec += f",in_chans={geometry.channels}"
    model = load(spec)
    if model.geometry.channels != geometry.channels:
        raise ValueError(f"{kind}:{head} takes colour images only; use --channels 3")
    assert model.build is not None
    return model.network, (model.build[0], dict(model.build[1]))


def _zoo(
    text: str, classes: int, geometry: Geometry, *, warns: bool
) -> tuple[nn.Module, tuple[str, dict[str, object]]]:
    from pellucid.models.load import arguments_of

    name, given = arguments_of(text, "zoo")
    if name not in names():
        known = "of the zoo's (pellucid zoo lists them), torchvision:NAME, timm:NAME or a trained model's folder"
        raise ValueError(f"model must be one {known}, got {name!r}{near(name, names(), 3)}")
    arguments = {"classes": classes, "channels": geometry.channels, "size": geometry.size[0], **given}
    if not warns:  # a network of our own choice
        return construct(name, arguments), (name, arguments)
    return build(name, **arguments), (name, arguments)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
