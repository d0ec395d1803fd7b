"""The layers of a network: names, kinds, shapes, and which of them suit Grad-CAM; found by running it once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pellucid.geometry import sides

from ._meter import Meter
from .model import Model, network_of
from .probes import calls, first_tensor

PASSING = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
"""Modules that compute no features of their own; no layer for Grad-CAM."""


@dataclass(frozen=True)
class Layer:
    """One module call, the last where a module is called several times."""

    name: str  # dotted, relative to the user's own network
    kind: str  # class name
    shape: tuple[int, ...]  # of its output (of several, the first tensor), for one image
    is_leaf: bool  # whether it contains no other modules
    calls: int  # how often it is called in one forward pass


class Ended(NamedTuple):
    """A layer, as it was when its call ended."""

    layer: Layer
    is_map: bool | None  # None: four dimensions of the image's ratio, but where the image lies in them is not known
    macs: int  # multiply-adds of the network up to then


def layers(model: nn.Module, size: int | tuple[int, ...] | None = None) -> tuple[Layer, ...]:
    """Every module that takes part in a forward pass, in the order in which they finish.

    Args:
        model: a Model or any module; in any mode, left as it was.
        size: of the images, (C, H, W), (H, W) or one side; None takes the Model's own.

    Raises:
        ValueError: no size is known, or the network does not take it.
    """
    return tuple(ended.layer for ended in _run(model, size))


def map_layers(model: nn.Module, size: int | tuple[int, ...] | None = None) -> tuple[str, ...]:
    """Layers with maps (N, C, h, w), one for each resolution, the deepest first; see `cam_layers`."""
    return best_for_cam(network_of(model), _run(model, size))


def best_for_cam(network: nn.Module, finished: Sequence[Ended]) -> tuple[str, ...]:
    """map_layers, from the layers in the order in which they finished."""
    features = _features(network, finished)
    best: dict[tuple[int, ...], str] = {}
    is_late: dict[str, bool] = {}
    for order, (layer, is_map, macs) in enumerate(finished, 1):
        is_placed = layer.shape[1] == features if is_map is None else is_map
        if not is_placed or _passes(network.get_submodule(layer.name)):
            continue
        is_late[layer.name] = 2 * order >= len(finished) or 2 * macs >= finished[-1].macs > 0
        other = best.get(layer.shape[2:])
        if other is None or layer.name.count(".") <= other.count("."):
            best.pop(layer.shape[2:], None)
            best[layer.shape[2:]] = layer.name
    names = tuple(reversed(best.values()))
    return names if names and is_late[names[0]] else ()


def input_shape(model: nn.Module, size: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """(C, H, W) of the images a network is asked with."""
    own = (model.geometry.channels, *model.geometry.size) if isinstance(model, Model) else None
    if size is None:
        if own is None:
            raise ValueError("the input size is not known: give size=(C, H, W), for instance (3, 224, 224)")
        return own
    shape = (own[0] if own else 3, *sides(size)) if isinstance(size, int) or len(size) == 2 else tuple(size)
    if len(shape) < 2 or any(side < 1 for side in shape):
        raise ValueError(f"size must be (C, H, W), (H, W) or one side, all positive, got {size}")
    return shape


@contextmanager
def asked_with(model: nn.Module, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """An image (1, C, H, W) of mid gray where the network's parameters are, in eval mode and without gradients.

    An error inside the block is told with the innermost layer that was running, and the shape it got.
    """
    first = next(model.parameters(), None)
    images = torch.full((1, *shape), 0.5, device=None if first is None else first.device)
    if first is not None and first.is_floating_point():
        images = images.to(first.dtype)
    running: list[tuple[str, nn.Module, Any]] = []

    def leave(*_call: Any) -> None:
        running.pop()

    modes = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        model.eval()
        torch.backends.mha.set_fastpath_enabled(False)  # a fused attention hides its layers
        with torch.no_grad(), calls(model, lambda *call: running.append(call), leave):
            yield images
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"the network does not take an image {shape}: {_place(running)}{reason}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in modes.items():
            module.training = mode


def _place(running: list[tuple[str, nn.Module, Any]]) -> str:
    """The innermost of the running layers, and the shape of its input."""
    if not running:
        return ""
    name, module, inputs = running[-1]
    got = first_tensor(inputs)
    where = f"layer {name!r} ({type(module).__name__})" if name else type(module).__name__
    return f"{where}: " if got is None else f"{where}, given {tuple(got.shape)}: "


def _run(model: nn.Module, size: int | tuple[int, ...] | None) -> list[Ended]:
    """Each layer, in the order in which they finish."""
    finished: dict[str, Ended] = {}
    shape = input_shape(model, size)
    with asked_with(model, shape) as images, Meter(images) as meter:

        def after(name: str, module: nn.Module, output: Any) -> None:
            note(finished, name, module, output, meter)

        with calls(model, lambda *_: None, after):
            network_of(model)(images)
    return list(finished.values())


def note(finished: dict[str, Ended], name: str, module: nn.Module, output: Any, meter: Meter) -> None:
    """Enter a module call that ended into the table of layers; the network itself is no layer."""
    found = first_tensor(output)
    if found is None or not name:
        return
    count = finished.pop(name).layer.calls + 1 if name in finished else 1
    leaf = next(module.children(), None) is None
    layer = Layer(name, type(module).__name__, tuple(found.shape), leaf, count)
    finished[name] = Ended(layer, _is_map(found, meter.is_map(found), meter.image), meter.total_macs)


def _is_map(output: Tensor, placed: bool | None, image: tuple[int, ...]) -> bool | None:
    """Four dimensions, the last two a grid over the image; None where that cannot be followed, but could be."""
    if output.ndim != 4 or output.shape[2] * output.shape[3] <= 1:
        return False
    if placed is None and round(output.shape[2] * image[2] / image[1]) != output.shape[3]:
        return False
    return placed


def _features(network: nn.Module, finished: Sequence[Ended]) -> int | None:
    """What the last fully connected layer is given: a map of as many channels is what was pooled for it."""
    modules = [network.get_submodule(ended.layer.name) for ended in finished]
    return next((module.in_features for module in reversed(modules) if isinstance(module, nn.Linear)), None)


def _passes(module: nn.Module) -> bool:
    """Whether a layer computes nothing of its own: pools and the like, and blocks that end in one."""
    while isinstance(module, nn.Sequential) and len(module):
        module = module[-1]
    return isinstance(module, PASSING)
