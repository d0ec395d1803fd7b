"""A policy as a user writes it: "crop=4,hflip=0.5", "cifar,erase=8", "rotate=15:probability=0.5"."""

from dataclasses import Field, fields
from typing import Any

from pellucid.checks import check_choice

from . import moves, paints, warps
from ._op import Op

OPS: dict[str, type[Op]] = {
    kind.name(): kind
    for kind in (
        moves.Hflip,
        moves.Vflip,
        moves.Crop,
        warps.ResizedCrop,
        warps.Shift,
        warps.Rotate,
        warps.Shear,
        warps.Zoom,
        warps.Affine,
        warps.Perspective,
        paints.Blur,
        paints.Noise,
        paints.Brightness,
        paints.Contrast,
        paints.Saturation,
        paints.Hue,
        paints.Solarise,
        paints.Erase,
    )
}
"""Every operation, by the word a user writes."""

PRESETS = {
    "none": "",
    "cifar": "crop,hflip",
    "strong": "crop,hflip,perspective=0.3,brightness=0.2,contrast=0.2,saturation=0.2,erase:probability=0.5",
    "digits": "affine=10:shear=10",
}
"""Policies with a name: small objects; small objects when there is time to train for long; what flips would change."""


def parsed(text: str) -> tuple[Op, ...]:
    """The operations a text names."""
    ops: list[Op] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part in PRESETS:
            ops += parsed(PRESETS[part])
        else:
            ops.append(_op(part))
    return tuple(ops)


def written(ops: tuple[Op, ...]) -> str:
    """What `parsed` reads back, without what is the default."""
    return ",".join(_word(op) for op in ops) or "none"


def _op(part: str) -> Op:
    head, *others = part.split(":")
    name, *main = (word.strip() for word in head.split("=", 1))
    check_choice("augmentation", name, [*PRESETS, *OPS])
    kind = OPS.get(name)
    if kind is None:
        raise ValueError(f"augmentation {name} must stand alone, for it has no numbers of its own, got {part!r}")
    given = {_main(kind).name: value for value in main}
    for other in others:
        key, _, value = (word.strip() for word in other.partition("="))
        key = "probability" if key == "p" else key
        check_choice(f"option of {name}", key, [one.name for one in _parts(kind)])
        given[key] = value
    kinds = {one.name: one for one in fields(kind)}
    return kind(**{key: _value(name, kinds[key], value) for key, value in given.items()})


def _word(op: Op) -> str:
    main, *others = _parts(type(op))
    changed = [one for one in others if getattr(op, one.name) != one.default]
    rest = "".join(f":{one.name}={getattr(op, one.name)}" for one in changed)
    return f"{op.name()}={getattr(op, main.name)}{rest}"


def _parts(kind: type[Op]) -> list["Field[Any]"]:
    """The numbers and words of an operation, its main one first, its probability last."""
    return sorted(fields(kind), key=lambda one: one.name == "probability")


def _main(kind: type[Op]) -> "Field[Any]":
    """What stands after "=": the first number of an operation; a flip has none but its probability."""
    return _parts(kind)[0]


def _value(name: str, part: "Field[Any]", text: str) -> Any:
    """A part of an operation, of the type of its default."""
    if isinstance(part.default, str):
        return text
    try:
        return int(text) if isinstance(part.default, int) else float(text)
    except ValueError as error:
        kind = "a whole number" if isinstance(part.default, int) else "a number"
        raise ValueError(f"{name}.{part.name} must be {kind}, got {text!r}") from error
