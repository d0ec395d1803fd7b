"""Looking into a running network: the only home of hooks.

Everything here is a context manager that leaves the network as it found it, also after an exception. It works with
modules that are called several times, with in-place and functional ReLU, with tuple outputs and frozen parameters.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import near

from .model import network_of


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """A layer's dotted name (relative to the user's own network) and module.

    Raises:
        ValueError: no such layer; names the nearest.
    """
    network = network_of(model)
    named = dict(network.named_modules(remove_duplicate=False))
    if isinstance(layer, nn.Module):
        name = next((name for name, module in named.items() if module is layer), None)
        if name is None:
            raise ValueError(f"layer must be part of the model, got a {type(layer).__name__} that is not")
        return name, layer
    if layer not in named or layer == "":
        raise ValueError(f"layer {layer!r} is not part of the model{near(layer, [n for n in named if n])}")
    return layer, named[layer]


def first_tensor(output: Any) -> Tensor | None:
    """The tensor in a module's output: itself, or the first in a tuple, list or mapping."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        output = list(output.values())
    if isinstance(output, Sequence) and not isinstance(output, str):
        return next((found for found in map(first_tensor, output) if found is not None), None)
    return None


@contextmanager
def activations(model: nn.Module, layers: Sequence[str | nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Record what the named layers put out in the forward passes made inside the block.

    The dict maps each name to its last output (of a tuple, the first tensor), as it was before any later in-place
    operation, and still part of the graph when one is built: a gradient with respect to it is right.

    Args:
        model: a Model or any module.
        layers: dotted names or modules.
    """
    recorded: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            found = first_tensor(output)
            if found is None:
                raise ValueError(f"layer {name!r} puts out no tensor but {type(output).__name__}")
            recorded[name] = found
            return exchanged(output, found, found.clone())  # what follows may work in place on the copy

        return hook

    with hooked([(module, keep(name)) for name, module in (find_layer(model, layer) for layer in layers)]):
        yield recorded


@contextmanager
def inputs_of(model: nn.Module, layer: str | nn.Module) -> Iterator[dict[str, Tensor]]:
    """Record what a layer is given (of several arguments, the first tensor) in the passes made inside the block."""
    name, module = find_layer(model, layer)
    recorded: dict[str, Tensor] = {}

    def hook(_module: nn.Module, inputs: Any) -> None:
        found = first_tensor(inputs)
        if found is None:
            raise ValueError(f"layer {name!r} is given no tensor")
        recorded[name] = found

    with hooked([], [(module, hook)]):
        yield recorded


@contextmanager
def graph_from(model: nn.Module, layer: str | nn.Module) -> Iterator[dict[str, Tensor]]:
    """Like `activations` for one layer, but the graph starts there: cheaper when no gradient goes further back.

    Run the forward pass inside the block under `torch.no_grad()`: the part before the layer then builds no graph,
    and gradients are on from the layer's (last) output to the end of that forward pass.
    """
    name, module = find_layer(model, layer)
    recorded: dict[str, Tensor] = {}

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        found = first_tensor(output)
        if found is None or not found.is_floating_point():
            raise ValueError(f"layer {name!r} puts out no float tensor")
        torch.set_grad_enabled(True)  # the caller's no_grad block restores the mode
        recorded[name] = found.detach().requires_grad_()
        return exchanged(output, found, recorded[name].clone())

    with hooked([(module, hook)]):
        yield recorded


@contextmanager
def calls(
    model: nn.Module, before: Callable[[str, nn.Module, Any], None], after: Callable[[str, nn.Module, Any], None]
) -> Iterator[None]:
    """Call before(name, module, inputs) and after(name, module, output) around every module call inside the block."""
    with hooked(
        [(module, lambda m, _i, o, name=name: after(name, m, o)) for name, module in network_of(model).named_modules()],
        [(module, lambda m, i, name=name: before(name, m, i)) for name, module in network_of(model).named_modules()],
    ):
        yield


_REGISTRATION = threading.Lock()
"""torch numbers hooks by a counter that two threads may read at once; the later would replace the earlier."""


@contextmanager
def hooked(
    forward: Sequence[tuple[nn.Module, Callable[..., Any]]], pre: Sequence[tuple[nn.Module, Callable[..., Any]]] = ()
) -> Iterator[None]:
    """Register hooks for the length of a block; they act only in this thread, for others may use the network too."""
    with _REGISTRATION:
        handles = [module.register_forward_hook(_here(hook)) for module, hook in forward]
        handles += [module.register_forward_pre_hook(_here(hook)) for module, hook in pre]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _here(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The hook, doing nothing in any thread but this one."""
    thread = threading.get_ident()
    return lambda *call: hook(*call) if threading.get_ident() == thread else None


def exchanged(output: Any, old: Tensor, new: Tensor) -> Any:
    """The output with one tensor exchanged, of the same type."""
    if output is old:
        return new
    if isinstance(output, Mapping):
        return type(output)({key: exchanged(value, old, new) for key, value in output.items()})  # type: ignore[call-arg]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(exchanged(value, old, new) for value in output))
    if isinstance(output, tuple | list):
        return type(output)(exchanged(value, old, new) for value in output)
    return output
