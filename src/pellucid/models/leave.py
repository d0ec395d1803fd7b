"""Leave a model behind one of its layers: what is not reached before it falls away, and a probe goes on from there."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval

from ._model_json import MOST_WHOLE, shapes_of
from .cut import KEY, Cut, parted_cut
from .layers import asked_with, input_shape
from .model import Model
from .probed import free, probe_of, probed, whole
from .probes import calls, find_layer
from .taps import parts_of

NEAR = 1e-4
"""How far, relative to the largest, two networks' answers may be from each other: rounding of float32."""

REFUSALS = (RuntimeError, AttributeError, LookupError, TypeError, ValueError, AssertionError)
"""What a network may raise that misses a layer."""


@torch.no_grad()
def leave(model: Model, cut: Cut, classes: Sequence[str]) -> Model:
    """A model that is left behind a layer and goes on with a probe of fresh weights.

    Args:
        model: in eval mode, left untouched; one that was left so before is now left earlier.
        cut: what it goes on with; how often the layer is called before, and what falls away, is found here.
        classes: K names.

    Returns:
        A Model in eval mode, which can be saved where the one given can. It keeps layers without which it would answer
        otherwise, or could not be read again.

    Raises:
        ValueError: no such layer, or the network cannot be left there.
    """
    check_eval(model)
    layer = parts_of(cut.at)[0]
    old = probe_of(model.network)
    if old is not None and f"{layer}.".startswith(f"{KEY}."):
        raise ValueError(f"layer must lie before the probe that the network goes on with already, got {layer!r}")
    count, left = _reached(model, layer)
    with torch.random.fork_rng(devices=[]):
        network = probed(whole(copy.deepcopy(model.network)), replace(cut, calls=count, without=()))
    network.eval().to(model.mean.device)
    lighter = _lighter(model, network, left)
    gone = () if old is None else old.cut.without
    if lighter is not None:
        network = lighter
        gone = (*(name for name in gone if not name.startswith(tuple(f"{one}." for one in left))), *left)
    probe = probe_of(network)
    assert probe is not None
    probe.cut = replace(probe.cut, without=tuple(dict.fromkeys(gone)))
    return _around(model, network, probe.cut, classes)


def images_of_noise(model: Model, count: int = 4) -> Tensor:
    """Images (N, C, H, W) of noise in a model's frame, by which two networks are compared."""
    noise = torch.rand(count, model.geometry.channels, *model.geometry.size, generator=torch.Generator().manual_seed(0))
    return noise.to(model.mean.device)


def is_near(answer: Tensor, wanted: Tensor) -> bool:
    """Whether two networks answer the same but for rounding."""
    if answer.shape != wanted.shape:
        return False
    return float((answer - wanted).abs().max()) <= NEAR * max(1.0, float(wanted.abs().max()))


def _reached(model: Model, layer: str) -> tuple[int, tuple[str, ...]]:
    """How often a layer is called in a pass, and the layers that no pass reaches before the last call has ended.

    Of those within each other the outer ones are told; and none that lies in a module that was done by then, which may
    use its layers otherwise than by calling them.
    """
    name, _ = find_layer(model, layer)
    running: list[str] = []
    begun: set[nn.Module] = set()
    at_end: list[tuple[set[nn.Module], list[str]]] = []  # of each call: what had begun, and was not done

    def before(one: str, module: nn.Module, _inputs: Any) -> None:
        running.append(one)
        begun.add(module)

    def after(one: str, _module: nn.Module, _output: Any) -> None:
        running.pop()
        if one == name:
            at_end.append((set(begun), list(running)))

    with asked_with(model, input_shape(model, None)) as images, calls(model, before, after):
        model(images)
    if not at_end:
        raise ValueError(f"layer {name!r} is never reached in the forward pass")
    met, unfinished = at_end[-1]
    left = []
    for outer in unfinished:
        children = model.network.get_submodule(outer)._modules
        names = [own for own, child in children.items() if child is not None and child not in met]
        left += [f"{outer}.{own}" if outer else own for own in names]
    return len(at_end), tuple(one for one in left if one != KEY)


def _lighter(model: Model, network: nn.Module, left: Sequence[str]) -> nn.Module | None:
    """The network without some layers; None where it then answers otherwise, or could not be read from a file."""
    lighter = copy.deepcopy(network)
    free(lighter, left)
    if model.build is not None:
        architecture, arguments = model.build
        shapes = shapes_of(architecture, parted_cut(arguments)[0])
        size = sum(tensor.nbytes for tensor in lighter.state_dict().values())
        if sum(math.prod(shape) for shape in shapes.values()) > max(size, MOST_WHOLE):
            return None
    images = (images_of_noise(model) - model.mean) / model.std
    wanted = network(images)
    try:
        answer = lighter(images)
    except REFUSALS:  # it asks for one of them
        return None
    return lighter if is_near(answer, wanted) else None


def _around(model: Model, network: nn.Module, cut: Cut, classes: Sequence[str]) -> Model:
    """A Model like another, around another network."""
    frame = model.geometry
    build = None if model.build is None else (model.build[0], {**model.build[1], KEY: cut.json()})
    return Model(
        network,
        mean=model.mean.flatten().tolist(),
        std=model.std.flatten().tolist(),
        classes=classes,
        size=frame.size,
        resize=frame.resize,
        interpolation=frame.interpolation,
        source=model.source,
        build=build,
    )
