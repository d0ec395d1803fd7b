"""A network read at some of its layers, and run no further than the last of them."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .probes import calls, find_layer


class Tap(nn.Module):
    """Maps images to {place: what that layer puts out}, read before anything can change it in place.

    The first pass runs to the end and counts the calls of each layer (of several, the last counts); later ones stop
    behind the last call that is wanted.

    Args:
        model: a Model or any module.
        places: dotted names of layers; of one that puts out several tensors, name[1] or name[key] takes one.
        read: (place, output) -> what to keep of it, in memory of its own; None: a copy.
    """

    def __init__(
        self, model: nn.Module, places: Sequence[str], *, read: Callable[[str, Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.read = read or (lambda _place, output: output.clone())
        self.places = {place: _place(model, place) for place in places}
        self.calls: Counter[str] | None = None
        self.training = model.training

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{place: (N, ...)}, what was read of each; in the graph when one is built."""
        found: dict[str, Tensor] = {}
        met: Counter[str] = Counter()
        wanted = {name for name, _ in self.places.values()}

        def after(name: str, _module: nn.Module, output: Any) -> None:
            if name not in wanted:
                return
            met[name] += 1
            for place, (layer, key) in self.places.items():
                if layer == name:
                    found[place] = self.read(place, chosen(output, place, key))
            if met == self.calls:
                raise _EnoughError

        try:
            with calls(self.model, lambda *_: None, after):
                self.model(images)
        except _EnoughError:
            return found
        missing = [place for place in self.places if place not in found]
        if missing:
            raise ValueError(f"layer {missing[0]!r} is never reached in the forward pass")
        self.calls = met
        return found


class _EnoughError(Exception):
    """Every layer that is wanted has put out its tensor."""


def parts_of(place: str) -> tuple[str, str]:
    """Layer and, of name[key], the key; "" without one."""
    found = re.fullmatch(r"(.+)\[([^\[\]*?!]+)\]", place)
    return (found[1], found[2]) if found else (place, "")


def _place(model: nn.Module, place: str) -> tuple[str, str]:
    name, key = parts_of(place)
    return find_layer(model, name)[0], key


def chosen(output: Any, place: str, key: str) -> Tensor:
    """The tensor that is meant by a place, of what its layer puts out; key "" is the only one."""
    if isinstance(output, Mapping) or (isinstance(output, tuple | list) and not isinstance(output, str)):
        parts = dict(output) if isinstance(output, Mapping) else {str(n): one for n, one in enumerate(output)}
        tensors = {str(name): one for name, one in parts.items() if isinstance(one, Tensor)}
        if len(tensors) == 1 and not key:
            return next(iter(tensors.values()))
        if key not in tensors:
            name = parts_of(place)[0]
            some = ", ".join(f"{name}[{one}]" for one in tensors) or "none is a tensor"
            raise ValueError(f"layer {name!r} puts out {len(parts)} things, say which: {some}")
        return tensors[key]
    if not isinstance(output, Tensor):
        raise ValueError(f"layer {place!r} puts out no tensor but {type(output).__name__}")
    if key:
        raise ValueError(f"layer {parts_of(place)[0]!r} puts out one tensor: leave [{key}] away")
    return output
