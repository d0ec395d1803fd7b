"""A network that is left behind one of its layers and goes on with a probe of what that layer puts out: a classifier.

Its layers keep their names; those that are never reached are gone. Gradients flow from the probe to the image.

A. Razavian, H. Azizpour, J. Sullivan, S. Carlsson, "CNN Features off-the-shelf: an Astounding Baseline for
Recognition", CVPR Workshops 2014. https://arxiv.org/abs/1403.6382
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import near

from ._heads import new_head
from .cut import KEY, Cut
from .grids import Grid, grid_of
from .pooling import pooled
from .probes import hooked
from .taps import chosen, parts_of


class Rows(nn.Module):
    """A layer's output as rows (N, D): flattened, or pooled over its positions."""

    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self.at, self.how, self.post = cut.at, cut.pool, cut.post

    def forward(self, output: Tensor, grid: Grid | None, dtype: torch.dtype) -> Tensor:
        """(N, D), of the dtype."""
        return pooled(output, self.how, self.post, grid, self.at, dtype=dtype)

    def extra_repr(self) -> str:
        """How it pools."""
        return self.how if self.post == "none" else f"{self.how}, {self.post}"


class Normalise(nn.Module):
    """Rows (N, D) on the scale that the probe learned."""

    shift: Tensor  # (D,), of standard and minmax
    scale: Tensor  # (D,)

    def __init__(self, how: str, inputs: int) -> None:
        super().__init__()
        self.how, self.inputs = how, inputs
        if how in {"standard", "minmax"}:
            self.register_buffer("shift", torch.zeros(inputs))
            self.register_buffer("scale", torch.ones(inputs))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, D); under l2 a row of zeros stays one."""
        if rows.shape[1] != self.inputs:
            raise ValueError(
                f"images must give rows of the {self.inputs} values that the probe knows, got {rows.shape[1]}: give "
                "images of the model's own size"
            )
        if self.how == "none":
            return rows
        if self.how != "l2":
            return (rows - self.shift) / self.scale
        largest = rows.detach().abs().amax(dim=1, keepdim=True)  # squares of huge and tiny rows leave float32
        return F.normalize(rows / torch.where(largest > 0, largest, 1), dim=1)

    def extra_repr(self) -> str:
        """How it normalises."""
        return self.how


class ProbeHead(nn.Module):
    """A layer's output to logits: pooled, normalised, then the head."""

    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self.cut = cut
        self.rows = Rows(cut)
        self.normalise = Normalise(cut.normalise, cut.inputs)
        self.head = _fresh(cut)
        self.grids: dict[tuple[int, ...], Grid | None] = {}

    def exchange(self, cut: Cut) -> None:
        """Take another head, of fresh weights."""
        self.cut, self.head = cut, _fresh(cut)

    def forward(self, output: Tensor, grid: Grid | None) -> Tensor:
        """Logits (N, K) of an output (N, ...)."""
        rows = self.rows(output, grid, next(self.head.parameters()).dtype)
        logits: Tensor = self.head(self.normalise(rows))
        return logits


def probed(network: nn.Module, cut: Cut) -> nn.Module:
    """Leave a network behind a layer and go on with a probe of fresh weights; the network is changed and returned.

    Raises:
        ValueError: no such layers, or the network cannot be changed so.
    """
    names = [name for name, _ in network.named_modules(remove_duplicate=False) if name]
    layer = parts_of(cut.at)[0]
    for told, name in (("at", layer), *(("without", one) for one in cut.without)):
        if name not in names:
            raise ValueError(f"{KEY}: {told} must name a layer of the network, got {name!r}{near(name, names)}")
    if any(f"{layer}.".startswith(f"{one}.") for one in cut.without):
        raise ValueError(f"{KEY}: without must not name the layer {layer!r} that the network is left behind")
    if hasattr(network, KEY) or isinstance(network, torch.jit.ScriptModule):
        what = f"has a {KEY!r} of its own" if hasattr(network, KEY) else "is scripted"
        raise ValueError(f"the network {what}, and cannot be left behind a layer")
    free(network, cut.without)
    network.add_module(KEY, ProbeHead(cut).train(network.training))
    network.__class__ = _left(type(network))  # type: ignore[arg-type]  # a class can be hashed
    return network


def whole(network: nn.Module) -> nn.Module:
    """A probed network with its probe taken off, so that it ends nowhere; the network is changed and returned."""
    if probe_of(network) is not None:
        network.__class__ = type(network).__bases__[0]
        delattr(network, KEY)
    return network


def probe_of(network: nn.Module) -> ProbeHead | None:
    """What a probed network goes on with; None of any other."""
    found = network._modules.get(KEY)
    return found if isinstance(found, ProbeHead) else None


def free(network: nn.Module, names: Sequence[str]) -> None:
    """Take layers out that are never reached; only at the end of a sequence is there nothing in their place."""
    for name in names:
        home, _, own = name.rpartition(".")
        parent = network.get_submodule(home)
        if isinstance(parent, nn.Sequential):
            del parent._modules[own]
        else:
            parent._modules[own] = nn.Identity()  # the parent may ask for it without calling it


def _fresh(cut: Cut) -> nn.Module:
    return new_head(cut.head, cut.inputs, cut.classes, first=cut.first, second=cut.second, dropout=cut.dropout)


@cache
def _left(kind: type[nn.Module]) -> type[nn.Module]:
    """A kind of network whose pass is left for its probe; in all else it is the kind, as torch's parametrize has it."""

    def forward(self: nn.Module, images: Tensor) -> Tensor:
        probe = probe_of(self)
        assert probe is not None
        output = _output(self, partial(kind.forward, self), images, probe.cut)
        key = (*output.shape[1:], *images.shape[1:])
        if key not in probe.grids:
            probe.grids[key] = grid_of(self, output.shape, images.shape[1:]) if output.ndim in {3, 4} else None
        logits: Tensor = probe(output, probe.grids[key])
        return logits

    return type(f"Probed{kind.__name__}", (kind,), {"forward": forward, "__doc__": kind.__doc__})


def _output(network: nn.Module, forward: Callable[[Tensor], Any], images: Tensor, cut: Cut) -> Tensor:
    """What the layer puts out; nothing behind it is run."""
    place, key = parts_of(cut.at)
    found: list[Tensor] = []
    count = 0

    def leave(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal count
        count += 1
        if count == cut.calls:
            found.append(chosen(output, cut.at, key))
            raise _LeftError

    def refused() -> ValueError:
        return ValueError(f"layer {place!r} must be called {cut.calls} times in a pass, got {count}")

    def refuse(*_call: Any) -> NoReturn:
        raise refused()

    layer = network.get_submodule(_end(network, place) if cut.calls == 1 else place)
    try:
        with hooked([(layer, leave)], [(network.get_submodule(KEY), refuse)]):  # a sequence would go on to its probe
            forward(images)
    except _LeftError:
        return found[0]
    raise refused()


class _LeftError(Exception):
    """The layer has put out what is wanted."""


def _end(network: nn.Module, place: str) -> str:
    """The outermost of the sequences that end in a layer, whose output is its own: left there, they finish as well."""
    while "." in place:
        home, _, own = place.rpartition(".")
        parent = network.get_submodule(home)
        if type(parent).forward is not nn.Sequential.forward or next(reversed(parent._modules)) != own:
            break
        place = home
    return place
