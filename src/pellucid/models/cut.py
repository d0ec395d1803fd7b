"""Where a network is left and what takes the place of the rest, as model.json tells it; everything in it is checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from pellucid.checks import check_choice, check_count, check_range, near

from ._heads import HEADS
from .pooling import POSTS, check_pool

KEY = "probe"
"""The argument of a model.json that tells a cut, and the name of the module that takes over."""

NORMALISED = ("none", "l2", "standard", "minmax")
"""Rows as they are, over their norms, or (both others) less a shift and over a scale that were learned."""

MOST_WEIGHTS = 2**31
"""Of one layer of a head: what a file tells is refused before any memory is asked for."""

MLP = ("first", "second", "dropout")
"""What is told of an mlp alone."""


@dataclass(frozen=True)
class Cut:
    """A network left behind one of its layers, and the probe that goes on from there."""

    at: str  # the layer, or name[key] of one that puts out several tensors
    calls: int  # how often it is called in a pass before the network is left
    without: tuple[str, ...]  # layers that are never reached, and that the network is freed of
    pool: str
    post: str
    normalise: str  # of NORMALISED
    inputs: int  # values of a row
    head: str  # of HEADS
    classes: int
    first: int = 1024
    second: int = 512
    dropout: float = 0.2

    def json(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        told = {**asdict(self), "without": list(self.without)}
        return {name: value for name, value in told.items() if name not in MLP or self.head == "mlp"}


def parted_cut(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Cut | None]:
    """The arguments of the whole network, and its cut, if there is one.

    Raises:
        ValueError: what is told of the cut is not sound.
    """
    own = {name: value for name, value in arguments.items() if name != KEY}
    return own, None if len(own) == len(arguments) else _read(arguments[KEY])


def _read(told: Any) -> Cut:
    """A cut from plain JSON."""
    if not isinstance(told, Mapping):
        raise ValueError(f"{KEY} must be an object, got {told!r:.80}")
    known = {field.name: field.type for field in fields(Cut)}
    unknown = sorted(set(told) - set(known))
    if unknown:
        raise ValueError(f"{KEY}: unknown key {unknown[0]!r}{near(unknown[0], known)}")
    missing = [name for name in known if name not in told and (name not in MLP or told.get("head") == "mlp")]
    if missing:
        raise ValueError(f"{KEY}: key {missing[0]!r} is missing")
    for name, value in told.items():
        _check_kind(name, value)
    cut = Cut(**{**told, "without": tuple(told["without"])})
    try:
        _check(cut)
    except ValueError as error:
        raise ValueError(f"{KEY}: {error}") from error
    return cut


def _check_kind(name: str, value: Any) -> None:
    kinds: dict[type, str] = {str: "a word", int: "a whole number", float: "a number", tuple: "a list of words"}
    kind = next(field.type for field in fields(Cut) if field.name == name)
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"{KEY}: {name} must be {kinds[tuple]}, got {value!r:.80}")
    elif type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{KEY}: {name} must be {kinds[kind]}, got {value!r:.80}")  # type: ignore[index]


def _check(cut: Cut) -> None:
    check_pool(cut.pool)
    check_choice("post", cut.post, POSTS)
    check_choice("normalise", cut.normalise, NORMALISED)
    check_choice("head", cut.head, HEADS)
    for name in ("calls", "inputs", "classes", "first", "second"):
        check_count(name, getattr(cut, name), 1)
    check_range("dropout", cut.dropout, 0, 1)
    twice = next((name for place, name in enumerate(cut.without) if name in cut.without[:place]), None)
    if twice is not None:
        raise ValueError(f"without must name each layer once, got {twice!r} twice")
    inner = next((name for name in cut.without if name.startswith(tuple(f"{one}." for one in cut.without))), None)
    if inner is not None:
        raise ValueError(f"without must name no layer within another that it names, got {inner!r}")
    wide = [cut.inputs, cut.first, cut.second, cut.classes] if cut.head == "mlp" else [cut.inputs, cut.classes]
    for given, made in pairwise(wide):
        if given * made > MOST_WEIGHTS:
            raise ValueError(f"a layer of the head must have at most {MOST_WEIGHTS:,} weights, got {given} x {made}")
