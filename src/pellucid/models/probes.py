"""Looking into a running network: the only home of hooks.

Everything here is a context manager that leaves the network as it found it, also after an exception. It works with
modules that are called several times, with in-place and functional ReLU, with tuple outputs and frozen parameters.
"""

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
            return _replaced(output, found, found.clone())  # what follows may work in place on the copy

        return hook

    with _hooks([(module, keep(name)) for name, module in (find_layer(model, layer) for layer in layers)]):
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
        return _replaced(output, found, recorded[name].clone())

    with _hooks([(module, hook)]):
        yield recorded


@contextmanager
def resumed_from(
    model: nn.Module, layer: str | nn.Module, change: Callable[[Tensor], Tensor]
) -> Iterator[Callable[[Tensor, int], Any]]:
    """Run a network with a layer's output exchanged, computing what lies before the layer once for each image.

    The function this yields takes images (n, C, H, W) and how many rows `change` makes of each row of the layer's
    output (count), and returns the outputs for the n * count rows. A single image passes once: behind the layer, one
    row that does not come from it then meets count rows that do, and broadcasting joins them. Where it does not (a
    concatenation, a fixed batch size), and for several images, every row passes from the start.

    Args:
        model: a Model or any module.
        layer: dotted name or module; of several calls, each one's output is exchanged.
        change: the layer's output (n, ...) -> (n * count, ...).
    """
    name, module = find_layer(model, layer)
    reached: list[int] = []
    copies = [1]

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        found = first_tensor(output)
        if found is None:
            raise ValueError(f"layer {name!r} puts out no tensor but {type(output).__name__}")
        reached.append(len(found))
        return _replaced(output, found, change(found[: len(found) // copies[0]]))

    def run(images: Tensor, count: int) -> Any:
        reached.clear()
        if len(images) == 1:
            copies[0] = 1
            try:
                outputs = model(images)
            except RuntimeError as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
            else:
                _check_reached(name, reached)
                found = first_tensor(outputs)
                if found is not None and len(found) == count:
                    return outputs
        copies[0] = count
        outputs = model(images.repeat(count, *[1] * (images.ndim - 1)))
        _check_reached(name, reached)
        return outputs

    with _hooks([(module, hook)]):
        yield run


def _check_reached(name: str, reached: list[int]) -> None:
    if not reached:
        raise ValueError(f"layer {name!r} is never reached in the forward pass")


@contextmanager
def calls(
    model: nn.Module, before: Callable[[str, nn.Module, Any], None], after: Callable[[str, nn.Module, Any], None]
) -> Iterator[None]:
    """Call before(name, module, inputs) and after(name, module, output) around every module call inside the block."""
    with _hooks(
        [(module, lambda m, _i, o, name=name: after(name, m, o)) for name, module in network_of(model).named_modules()],
        [(module, lambda m, i, name=name: before(name, m, i)) for name, module in network_of(model).named_modules()],
    ):
        yield


@contextmanager
def relu_rule(rule: Callable[[Tensor, Tensor], Tensor]) -> Iterator[Counter[str]]:
    """Replace the backward rule of every ReLU and ReLU6 run inside the block: module, in-place, functional, method.

    Args:
        rule: maps (active, gradient) to the gradient passed on; active is a bool tensor, true where the input is
            strictly inside the part of slope one.

    Yields:
        A counter of the ReLUs met, by the name of the function.
    """
    met: Counter[str] = Counter()
    with _ReluMode(rule, met):
        yield met


class _ReluMode(TorchFunctionMode):
    """Catches the functions by which a ReLU can be called; everything else passes."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor], met: Counter[str]) -> None:
        super().__init__()
        self.rule, self.met = rule, met

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        reader = _RELUS.get(func)
        x, top, in_place = reader(*args, **(kwargs or {})) if reader else (None, None, False)
        if x is None or top is None:
            return func(*args, **(kwargs or {}))
        self.met[func.__name__] += 1
        out: Tensor = _Relu.apply(x, top, self.rule)
        return x.copy_(out) if in_place else out


_Call: TypeAlias = tuple[Tensor, float | None, bool]  # input, where it saturates (None: no ReLU), whether in place


def _relu(input: Tensor, inplace: bool = False) -> _Call:
    return input, math.inf, inplace


def _relu6(input: Tensor, inplace: bool = False) -> _Call:
    return input, 6.0, inplace


def _hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> _Call:
    return input, max_val if min_val == 0 else None, inplace


_RELUS: dict[Callable[..., Any], Callable[..., _Call]] = {
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu), _relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), partial(_relu, inplace=True)),
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}


class _Relu(torch.autograd.Function):
    """ReLU, or ReLU6 and its like, forward; any rule backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        active = x > 0 if top == math.inf else (x > 0) & (x < top)
        ctx.save_for_backward(active)
        ctx.rule = rule
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (active,) = ctx.saved_tensors
        return ctx.rule(active, gradient), None, None


_REGISTRATION = threading.Lock()
"""torch numbers hooks by a counter that two threads may read at once; the later would replace the earlier."""


@contextmanager
def _hooks(
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


def _replaced(output: Any, old: Tensor, new: Tensor) -> Any:
    """The output with one tensor exchanged, of the same type."""
    if output is old:
        return new
    if isinstance(output, Mapping):
        return type(output)({key: _replaced(value, old, new) for key, value in output.items()})  # type: ignore[call-arg]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*(_replaced(value, old, new) for value in output))
    if isinstance(output, tuple | list):
        return type(output)(_replaced(value, old, new) for value in output)
    return output
