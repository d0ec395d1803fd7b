"""A head in the place of a network's own: what model.json says of it, its layers, and putting it there."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from pellucid.checks import check_choice, near

HEADS = ("linear", "mlp", "dropout")
"""A linear layer; 1024 and 512 hidden units with ReLU and dropout 0.2; dropout 0.3 before a linear layer."""

KIND, PLACE = "new_head", "new_head_at"
"""The arguments of a model.json that tell a head of ours and the layer in whose place it stands."""

PASSING = ("torch.nn.modules.dropout", "torch.nn.modules.activation")
"""Homes of what may stand before a head's first linear layer and falls away with it."""


def parted(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """An architecture's own arguments, and the kind and place of a head of ours, if there is one.

    Raises:
        ValueError: only one of the two is given, or they are no words.
    """
    own = {name: value for name, value in arguments.items() if name not in {KIND, PLACE}}
    if len(own) == len(arguments):
        return own, None
    kind, place = arguments.get(KIND), arguments.get(PLACE)
    if not isinstance(kind, str) or not isinstance(place, str):
        raise ValueError(f"arguments must give {KIND} and {PLACE} together, both words, got {kind!r} and {place!r}")
    return own, (kind, place)


def new_head(
    kind: str, inputs: int, classes: int, *, first: int = 1024, second: int = 512, dropout: float = 0.2
) -> nn.Module:
    """A head of fresh weights: features (N, inputs) to logits (N, classes).

    Args:
        kind: of HEADS.
        inputs: D.
        classes: K.
        first: units of an mlp's first hidden layer.
        second: of its second.
        dropout: share of them dropped in training.

    Raises:
        ValueError: an unknown kind.
    """
    check_choice("head", kind, HEADS)
    if kind == "linear":
        return nn.Linear(inputs, classes)
    if kind == "dropout":
        return nn.Sequential(nn.Dropout(0.3), nn.Linear(inputs, classes))
    return nn.Sequential(
        *(nn.Linear(inputs, first), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(first, second), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(second, classes),
    )


def attach(network: nn.Module, kind: str, place: str, classes: int) -> nn.Module:
    """Put a head in the place of a layer, and of all that follows it; the network is changed and returned.

    Raises:
        ValueError: no such layer, one that takes no features (N, D), or one behind which other layers learn.
    """
    known = [name for name, module in network.named_modules() if name]
    if place not in known:
        raise ValueError(f"head_at must be a layer of the network, got {place!r}{near(place, known)}")
    home, _, own = place.rpartition(".")
    parent = network.get_submodule(home)
    names = list(parent._modules)
    replaced = names[names.index(own) :] if isinstance(parent, nn.Sequential) else [own]
    inputs = _inputs([parent._modules[name] for name in replaced], place)
    _check_last(network, [f"{home}.{name}" if home else name for name in replaced], place)
    for name in replaced[1:]:
        del parent._modules[name]
    parent._modules[own] = new_head(kind, inputs, classes)
    return network


def _inputs(replaced: list[nn.Module | None], place: str) -> int:
    """Features that the first of some layers takes; before it only what changes no shape may stand."""
    leaves = [leaf for module in replaced if module is not None for leaf in module.modules() if not [*leaf.children()]]
    for leaf in leaves:
        if isinstance(leaf, nn.Linear):
            return leaf.in_features
        if not type(leaf).__module__.startswith(PASSING):
            kind = type(leaf).__name__
            told = f"head_at must name a layer that takes features (N, D), got {place!r}, where {kind} comes first"
            raise ValueError(f"{told}: name a linear layer, or take head linear without head_at")
    raise ValueError(f"head_at must name a layer with a linear one in it or behind it, got {place!r}")


def _check_last(network: nn.Module, replaced: list[str], place: str) -> None:
    """Refuse a place behind which layers with weights stand that would go on after the new head."""
    names = [name for name, _ in network.named_parameters()]
    falls = [any(name.startswith(f"{one}.") for one in replaced) for name in names]
    if not all(falls[falls.index(True) :]):
        left = next(name for name, gone in zip(reversed(names), reversed(falls), strict=True) if not gone)
        raise ValueError(f"head_at must be in the last part of the network, got {place!r}, behind which {left} stands")
