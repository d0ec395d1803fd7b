"""Passes that share what lies before a layer: computed once for each image, and gone on from with other values."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from .probes import calls, exchanged, find_layer, first_tensor, hooked

Change: TypeAlias = Callable[[Tensor], Tensor]
"""A layer's output (n, ...) -> (count * n, ...), all of the first variant first."""


@contextmanager
def resumed_from(model: nn.Module, layer: str | nn.Module) -> Iterator[Callable[[Tensor, int, Change], Any]]:
    """Run a network with a layer's output exchanged, computing what lies before the layer once for each image.

    The function this yields takes images (n, C, H, W), how many rows are made of each row of the layer's output
    (count), and what makes them, and returns the outputs for the count * n rows. A single image passes once: behind the
    layer, one row that does not come from it then meets count rows that do, and broadcasting joins them. That this is
    so is checked once, against two rows that pass from the start; where it is not (a concatenation, a fixed batch
    size), and for several images, every row does. When the same image comes again, the modules that were done before
    the layer was reached are not run again: they hand out what they gave the first time.

    Args:
        model: a Model or any module.
        layer: dotted name or module.

    Raises:
        ValueError: when run: the layer is never reached, or more than once, so that it has no one output.
    """
    name, module = find_layer(model, layer)
    resumed = _Resumed(model, name)
    with hooked([(module, resumed.hook)]):
        yield resumed.run


class _CalledTwiceError(ValueError):
    """A layer has no one output to exchange."""


class _Resumed:
    """Passes that share what lies before a layer, as far as the network allows it."""

    def __init__(self, model: nn.Module, name: str) -> None:
        self.model, self.name = model, name
        self.change: Change | None = None  # none outside a run
        self.copies = 1  # equal rows of each image that reach the layer
        self.calls = 0
        self.shares: bool | None = None  # not known before two variants passed both ways
        self.prefix = _Prefix(model, name)

    def hook(self, module: nn.Module, _inputs: Any, output: Any) -> Any:
        if self.change is None:
            return output
        self.calls += 1
        if self.calls > 1:
            raise _CalledTwiceError(f"layer {self.name!r} is called more than once in a pass: name one that is not")
        found = first_tensor(output)
        if found is None:
            raise ValueError(f"layer {self.name!r} puts out no tensor but {type(output).__name__}")
        self.prefix.reached(module, output)
        return exchanged(output, found, self.change(found[: len(found) // self.copies]))

    def run(self, images: Tensor, count: int, change: Change) -> Any:
        if len(images) > 1 or count == 1 or self.shares is False:
            return self._pass(images, count, change)
        try:
            shared = self._pass(images, 1, change)
        except (_CalledTwiceError, torch.OutOfMemoryError):
            raise
        except (RuntimeError, ValueError, AssertionError, LookupError, TypeError):  # rows that do not fit together
            shared = None
        rows = first_tensor(shared)
        if rows is None or len(rows) != count:
            self.shares = False
        if self.shares is None:
            ends = self._pass(images, 2, lambda found: change(found)[[0, -1]])
            self.shares = rows is not None and _alike(rows[[0, -1]], first_tensor(ends))
        return shared if self.shares else self._pass(images, count, change)

    def _pass(self, images: Tensor, copies: int, change: Change) -> Any:
        self.calls, self.copies, self.change = 0, copies, change
        try:
            with self.prefix.of(images) if copies == len(images) == 1 else nullcontext():
                outputs = self.model(images.repeat(copies, *[1] * (images.ndim - 1)) if copies > 1 else images)
        finally:
            self.change = None
        if not self.calls:
            raise ValueError(f"layer {self.name!r} is never reached in the forward pass")
        return outputs


MOST_KEPT = 2**28
"""Bytes kept of what lies before a layer, at most; more is computed again."""


class _Prefix:
    """What the modules that were done before a layer was reached gave for one image."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model, self.outer = model, _outer(layer)
        self.image: Tensor | None = None  # held, so that its place in memory is not given to another
        self.version = 0
        self.given: list[tuple[nn.Module, Any]] = []  # in the order of the calls; none of them inside another
        self.is_open = False  # recording, and the layer not reached yet

    @contextmanager
    def of(self, image: Tensor) -> Iterator[None]:
        """A pass of this image (1, C, H, W): recorded if it is new, else what was recorded is handed out."""
        if self.given and self._is_known(image):
            with _answering(self.given):
                yield
            return
        self.given, depths = [], []

        def before(_name: str, _module: nn.Module, _inputs: Any) -> None:
            depths.append(len(self.given))

        def after(name: str, module: nn.Module, output: Any) -> None:
            start = depths.pop()
            if (
                self.is_open and name.rpartition(".")[0] in self.outer
            ):  # others lie inside one that is kept, or run again
                del self.given[start:]  # what it called itself
                self.given.append((module, _copied(output)))

        self.is_open = True
        try:
            with calls(self.model, before, after):
                yield
        except BaseException:
            self.given = []
            raise
        finally:
            self.is_open = False
        size = sum(_bytes(output) for _, output in self.given)
        if size > MOST_KEPT or any(isinstance(module, torch.jit.ScriptModule) for module, _ in self.given):
            self.given = []
        self.image, self.version = image, _version(image)

    def reached(self, layer: nn.Module, output: Any) -> None:
        """The layer was reached: its own output is the last that is kept."""
        if self.is_open:
            self.given.append((layer, _copied(output)))
            self.is_open = False

    def _is_known(self, image: Tensor) -> bool:
        old = self.image
        if old is None or (old.shape, old.stride(), old.dtype) != (image.shape, image.stride(), image.dtype):
            return False
        return old.data_ptr() == image.data_ptr() and self.version == _version(image)


def _outer(layer: str) -> set[str]:
    """The modules that hold a layer, by their names; the network itself is ""."""
    parts = layer.split(".")
    return {".".join(parts[:depth]) for depth in range(len(parts))}


@contextmanager
def _answering(given: list[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Inside the block, and in this thread, the modules hand out copies of what they gave, in turn; then they run."""
    thread = threading.get_ident()
    answers: dict[nn.Module, list[Any]] = {}
    for module, output in given:
        answers.setdefault(module, []).append(output)
    own = {module: module.__dict__.get("forward") for module in answers}

    def answering(module: nn.Module, left: list[Any]) -> Callable[..., Any]:
        forward = module.forward

        def answer(*args: Any, **kwargs: Any) -> Any:
            return _copied(left.pop(0)) if left and threading.get_ident() == thread else forward(*args, **kwargs)

        return answer

    for module, left in answers.items():
        module.__dict__["forward"] = answering(module, left)
    try:
        yield
    finally:
        for module, forward in own.items():
            if forward is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


def _copied(output: Any) -> Any:
    """Copies of all tensors in an output: what follows may work in place."""
    return tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), output)


def _bytes(output: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))


def _version(image: Tensor) -> int:
    return 0 if image.is_inference() else image._version


def _alike(one: Tensor, other: Tensor | None) -> bool:
    """Whether two outputs are the same but for rounding."""
    if other is None or one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= 1e-3 * other.abs().max())
