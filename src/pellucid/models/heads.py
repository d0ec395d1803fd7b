"""Head swap: a trained network with a new head, for other classes; everything before it stays as it was learned."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, near

from ._heads import HEADS, KIND, PLACE, attach, parted
from ._model_json import build, shapes_of
from .cut import KEY, Cut
from .model import Model
from .probed import probe_of

OF_PROBE = f"{KEY}.head"
"""The head of a network that goes on with a probe."""


def with_head(
    model: Model,
    classes: Sequence[str],
    *,
    head: str = "linear",
    head_at: str = "",
    generator: torch.Generator | None = None,
) -> Model:
    """The same network with a new, random head, for other classes; the model given stays as it is.

    Args:
        model: a trained one; in the new one all tensors but the head's are equal to its.
        classes: K names, at least 2, in output order.
        head: linear, mlp (1024 and 512 hidden units, ReLU, dropout 0.2) or dropout (0.3, then linear).
        head_at: layer in whose place, and in that of all behind it, the head comes; "" is the network's last layer.
        generator: of the head's first weights; None is seed 0.

    Returns:
        A Model of its own, in the mode of the one given; it can be saved where the one given can.

    Raises:
        ValueError: fewer than two classes, an unknown head, or a layer whose place it cannot take; says why.
    """
    check_choice("head", head, HEADS)
    names = [str(name) for name in classes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes must be at least two different names, got {names}")
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        network, told = _swapped(model, len(names), head, head_at)
    geometry = model.geometry
    return Model(
        network.to(model.mean.device).train(mode=model.training),
        mean=model.mean.flatten().tolist(),
        std=model.std.flatten().tolist(),
        classes=names,
        size=geometry.size,
        resize=geometry.resize,
        interpolation=geometry.interpolation,
        source={**model.source, "head": "new"},
        build=told,
    )


def find_head(model: Model) -> str:
    """The layer that answers with one number a class: of a head of ours the whole, else the last such layer.

    Raises:
        ValueError: there is none, so that it must be named.
    """
    if probe_of(model.network) is not None:
        return OF_PROBE
    if model.build is None:
        last = [(name, module) for name, module in model.network.named_modules() if isinstance(module, nn.Linear)][-1:]
        for name, module in last:
            if module.out_features == len(model.classes):
                return str(name)
        raise ValueError("head_at must be given: the network's last linear layer has not one output a class")
    architecture, arguments = model.build
    own, ours = parted(arguments)
    if ours is not None:
        return ours[1]
    names = _by_classes(architecture, own, len(model.classes))
    if not names:
        raise ValueError(f"head_at must be given: no layer of {architecture} has one output a class")
    return names[-1].rpartition(".")[0]


def _swapped(
    model: Model, classes: int, head: str, head_at: str
) -> tuple[nn.Module, tuple[str, Mapping[str, Any]] | None]:
    """The network with another head, and what builds it again, where anything does."""
    place = head_at or find_head(model)
    if probe_of(model.network) is not None:
        return _on_probed(model, classes, head, place)
    if model.build is None:
        return attach(deepcopy(model.network), head, place, classes), None
    architecture, given = model.build
    own, ours = parted(given)
    arguments: dict[str, Any] = {**own, _count(architecture): classes}
    fresh = [name.rpartition(".")[0] for name in _by_classes(architecture, own, len(model.classes))]
    if head_at or head != "linear" or ours is not None:
        arguments |= {KIND: head, PLACE: place}
        fresh.append(place)
    network = build(architecture, arguments)
    _fill(network, model.network.state_dict(), fresh)
    return network, (architecture, arguments)


def _on_probed(
    model: Model, classes: int, head: str, place: str
) -> tuple[nn.Module, tuple[str, Mapping[str, Any]] | None]:
    """The same of a network that goes on with a probe: another head behind its rows."""
    if place != OF_PROBE:
        raise ValueError(f"head_at must be {OF_PROBE} in a network that goes on with a probe, got {place!r}")
    network = deepcopy(model.network)
    probe = probe_of(network)
    assert probe is not None
    cut = replace(
        probe.cut, head=head, classes=classes, first=Cut.first, second=Cut.second, dropout=Cut.dropout
    )  # the widths of a head of ours, whatever those of the probe were
    probe.exchange(cut)
    return network, None if model.build is None else (model.build[0], {**model.build[1], KEY: cut.json()})


def _fill(network: nn.Module, learned: Mapping[str, Tensor], fresh: Sequence[str]) -> None:
    """Copy every tensor that stands outside the new layers."""
    wanted = network.state_dict()
    kept = {name for name in wanted if not any(name.startswith(f"{place}.") for place in fresh)}
    odd = [name for name in kept if name not in learned or learned[name].shape != wanted[name].shape]
    if odd:
        hint = near(odd[0], learned)
        raise ValueError(f"the network must be as its name and arguments build it; {odd[0]} is another{hint}")
    network.load_state_dict({name: learned[name] if name in kept else value for name, value in wanted.items()})


def _by_classes(architecture: str, arguments: Mapping[str, Any], classes: int) -> list[str]:
    """The tensors whose shape goes with the number of classes, in the network's order."""
    count = _count(architecture)
    now, other = (shapes_of(architecture, {**arguments, count: some}) for some in (classes, classes + 1))
    return [name for name, shape in now.items() if other.get(name) != shape]


def _count(architecture: str) -> str:
    """What an architecture calls the number of its classes."""
    return "num_classes" if ":" in architecture else "classes"
