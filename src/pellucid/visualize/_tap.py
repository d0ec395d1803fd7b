"""A network read at some of its layers, and run no further than the last of them."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from pellucid.checks import near
from pellucid.models import Grid, find_grid, network_of
from pellucid.models.probes import calls, find_layer


class Tap(nn.Module):
    """Maps images to {place: what that layer puts out}, copied before anything can change it in place.

    The first pass runs to the end and counts the calls of each layer (of several, the last counts); later ones stop
    behind the last call that is wanted.

    Args:
        model: a Model or any module.
        places: dotted names of layers; of one that puts out several tensors, name[1] or name[key] takes one.
    """

    def __init__(self, model: nn.Module, places: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.places = {place: _place(model, place) for place in places}
        self.calls: Counter[str] | None = None
        self.training = model.training

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{place: (N, ...)}; in the graph when one is built."""
        found: dict[str, Tensor] = {}
        met: Counter[str] = Counter()
        wanted = {name for name, _ in self.places.values()}

        def after(name: str, _module: nn.Module, output: Any) -> None:
            if name not in wanted:
                return
            met[name] += 1
            for place, (layer, key) in self.places.items():
                if layer == name:
                    found[place] = _chosen(output, place, key).clone()
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


def named_layers(model: nn.Module, layers: str) -> tuple[str, ...]:
    """The places that names and patterns with commas mean, in the network's order.

    Raises:
        ValueError: a name or pattern matches no layer; names the nearest.
    """
    known = [name for name, _ in network_of(model).named_modules() if name]
    wanted = [word.strip() for word in layers.split(",") if word.strip()]
    if not wanted:
        raise ValueError(f'layers must name at least one layer, such as "features.*", got {layers!r}')
    chosen: list[str] = []
    for word in wanted:
        name, _ = _parts(word)
        if name in known:
            chosen.append(word)
            continue
        matching = [one for one in known if fnmatchcase(one, word)]
        if not matching:
            raise ValueError(f"layers: {word!r} matches no layer of the model{near(word.strip('*?.'), known)}")
        chosen += matching
    return tuple(sorted(dict.fromkeys(chosen), key=lambda place: known.index(_parts(place)[0])))


def maps_of(model: nn.Module, layer: str, size: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """What reads a layer's output as maps (N, K, h, w): 1 x 1 where it has no positions; tokens in their grid.

    Args:
        model: a Model or any module.
        layer: a place, as for `Tap`.
        size: (C, H, W) of the images.
    """
    found: list[Grid] = []

    def maps(output: Tensor) -> Tensor:
        if output.ndim == 2:
            return output[:, :, None, None]
        if output.ndim == 4 and output.shape[2] * output.shape[3] == 1:
            return output
        if not found:
            found.append(find_grid(model, _parts(layer)[0], size))
        return found[0].maps(output)

    return maps


def _parts(place: str) -> tuple[str, str]:
    """Layer and, of name[key], the key; "" without one."""
    found = re.fullmatch(r"(.+)\[([^\[\]*?!]+)\]", place)
    return (found[1], found[2]) if found else (place, "")


def one_layer(model: nn.Module, layer: str) -> str:
    """The one place a name means.

    Raises:
        ValueError: it means none or several.
    """
    places = named_layers(model, layer)
    if len(places) > 1:
        raise ValueError(f"layer must be one, got {layer!r}, which means {len(places)}: {', '.join(places[:5])}")
    return places[0]


def _place(model: nn.Module, place: str) -> tuple[str, str]:
    name, key = _parts(place)
    return find_layer(model, name)[0], key


def _chosen(output: Any, place: str, key: str) -> Tensor:
    """The tensor that is meant."""
    if isinstance(output, Mapping) or (isinstance(output, tuple | list) and not isinstance(output, str)):
        parts = dict(output) if isinstance(output, Mapping) else {str(n): one for n, one in enumerate(output)}
        tensors = {str(name): one for name, one in parts.items() if isinstance(one, Tensor)}
        if len(tensors) == 1 and not key:
            return next(iter(tensors.values()))
        if key not in tensors:
            name = _parts(place)[0]
            some = ", ".join(f"{name}[{one}]" for one in tensors) or "none is a tensor"
            raise ValueError(f"layer {name!r} puts out {len(parts)} things, say which: {some}")
        return tensors[key]
    if not isinstance(output, Tensor):
        raise ValueError(f"layer {place!r} puts out no tensor but {type(output).__name__}")
    if key:
        raise ValueError(f"layer {_parts(place)[0]!r} puts out one tensor: leave [{key}] away")
    return output
