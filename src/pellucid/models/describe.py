"""What a network is made of: shapes, weights, multiply-adds and receptive fields of every layer, from one pass.

One multiply-add counts once. Receptive fields are theoretical (see `_fields`): what a unit could see, over all paths.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from ._fields import told
from ._meter import Meter
from .grids import suited, token_layers
from .layers import Ended, asked_with, best_for_cam, input_shape, note
from .model import network_of
from .probes import calls, find_layer, first_tensor

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class ReceptiveField:
    """The patch of the image a layer's units see, for each image axis, in pixels."""

    size: tuple[float, ...]  # side; infinite where a unit sees the whole image
    stride: tuple[float, ...]  # step between neighbouring units (0 where they see the whole image)
    start: tuple[float, ...]  # centre of the first unit's patch, 0 being the centre of the first pixel

    def clipped(self, sides: tuple[int, ...]) -> tuple[int, ...]:
        """The side, no larger than the image."""
        return tuple(int(min(size, side)) for size, side in zip(self.size, sides, strict=True))


@dataclass(frozen=True)
class Row:
    """One layer: a module without modules inside, or one that holds weights or computes by itself."""

    name: str  # dotted, relative to the user's own network; "(network)" for what belongs to none
    kind: str  # class name
    shape: tuple[int, ...] | None  # of its output for one image, without the batch; None: not reached
    weights: int  # parameters of its own, each counted once in the table
    trainable: int  # those of them that require a gradient
    buffers: int  # elements of its buffers
    macs: int  # multiply-adds for one image
    flops: int  # 2 a multiply-add, and element-wise arithmetic
    field: ReceptiveField | None  # None where it is not defined
    calls: int  # how often it is called; 0: not reached
    is_shared: bool  # whether it uses weights counted in an earlier row


@dataclass(frozen=True)
class Description:
    """A network, layer by layer."""

    input: tuple[int, ...]  # (C, H, W)
    rows: tuple[Row, ...]  # in the order of the first call
    cam_layers: tuple[str, ...]  # layers that suit Grad-CAM, the best first
    weights_by_kind: dict[str, int]  # convolution, fully connected, norm, other
    activation_bytes: int  # sum of the layers' outputs for one image

    @property
    def weights(self) -> int:
        """Parameters, each counted once."""
        return sum(row.weights for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image."""
        return sum(row.macs for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations for one image."""
        return sum(row.flops for row in self.rows)

    @property
    def fully_connected_share(self) -> float:
        """Share of the weights that lie in fully connected layers, in [0, 1]."""
        return self.weights_by_kind["fully connected"] / max(1, self.weights)

    def json(self) -> dict[str, Any]:
        """Everything as plain JSON; an infinite field is told as "image"."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            if row["field"]:
                row["field"]["size"] = ["image" if math.isinf(size) else size for size in row["field"]["size"]]
        return {
            "input": list(self.input),
            "layers": rows,
            "weights": self.weights,
            "macs": self.macs,
            "flops": self.flops,
            "weights_by_kind": self.weights_by_kind,
            "fully_connected_share": self.fully_connected_share,
            "activation_bytes": self.activation_bytes,
            "cam_layers": list(self.cam_layers),
        }


def describe(model: nn.Module, size: int | tuple[int, ...] | None = None) -> Description:
    """Describe a network by running it once on one image.

    Args:
        model: a Model or any module, on any device (also meta); in any mode, left as it was.
        size: of the image, (C, H, W), (H, W) or one side; None takes the Model's own.

    Raises:
        ValueError: no size is known, or the network does not take it; names the layer that failed.
    """
    shape = input_shape(model, size)
    network = network_of(model)
    stack: list[str] = []
    own = {name: _Own() for name, _ in network.named_modules()}
    finished: dict[str, Ended] = {}
    with asked_with(network, shape) as images, Meter(images) as meter:

        def settle() -> None:
            """Charge what was counted since the last module call began or ended to the innermost module."""
            charged = own[stack[-1]] if stack else own[""]
            charged.macs, charged.flops = charged.macs + meter.macs, charged.flops + meter.flops
            meter.macs = meter.flops = 0

        def before(name: str, _module: nn.Module, _inputs: Any) -> None:
            settle()
            stack.append(name)
            own[name].order = own[name].order or len([o for o in own.values() if o.order]) + 1

        def after(name: str, module: nn.Module, output: Any) -> None:
            settle()
            stack.pop()
            note(finished, name, module, output, meter)
            found = first_tensor(output)
            own[name].calls += 1
            if found is not None:
                own[name].shape = tuple(found.shape[1:])
                own[name].bytes = found.nbytes
                own[name].field = told(meter.field(found))

        with calls(network, before, after):
            network(images)
        settle()
    rows, by_kind = _rows(network, own)
    cam_layers = suited(best_for_cam(network, [*finished.values()]), token_layers(network, shape))
    outputs = sum(own[row.name].bytes for row in rows if row.name in own)
    return Description(shape, rows, cam_layers, by_kind, outputs)


def receptive_field(model: nn.Module, layer: str, size: int | tuple[int, ...] | None = None) -> ReceptiveField | None:
    """The field of any layer's units, also of a block with layers inside; None where it is not defined.

    Args:
        model: a Model or any module; in any mode, left as it was.
        layer: dotted name; of several calls the last counts.
        size: of the image, as for `describe`.

    Raises:
        ValueError: no such layer, or it is never reached.
    """
    wanted, _ = find_layer(model, layer)
    found: list[tuple[tuple[float, ...], ...] | None] = []
    network = network_of(model)
    with asked_with(network, input_shape(model, size)) as images, Meter(images) as meter:

        def after(name: str, _module: nn.Module, output: Any) -> None:
            tensor = first_tensor(output)
            if name == wanted and tensor is not None:
                found.append(told(meter.field(tensor)))

        with calls(network, lambda *_: None, after):
            network(images)
    if not found:
        raise ValueError(f"layer {wanted!r} is never reached in the forward pass")
    return ReceptiveField(*found[-1]) if found[-1] else None


class _Own:
    """What was seen of one module."""

    def __init__(self) -> None:
        self.order = self.calls = self.macs = self.flops = self.bytes = 0
        self.shape: tuple[int, ...] | None = None
        self.field: tuple[tuple[float, ...], ...] | None = None


def _rows(network: nn.Module, own: dict[str, _Own]) -> tuple[tuple[Row, ...], dict[str, int]]:
    counted: set[int] = set()
    by_kind = {"convolution": 0, "fully connected": 0, "norm": 0, "other": 0}
    rows = []
    modules = dict(network.named_modules())
    reached = [name for name in sorted(own, key=lambda name: own[name].order) if own[name].order]
    for name in [*reached, *(name for name in modules if not own[name].order)]:
        module, seen = modules[name], own[name]
        new, shared = _new_parameters(module, counted)
        weights = sum(p.numel() for p in new)
        is_leaf = next(module.children(), None) is None
        if not (is_leaf and (seen.calls or weights)) and not weights and not seen.macs:
            continue
        by_kind[_kind(module)] += weights
        rows.append(
            Row(
                name or "(network)",
                type(module).__name__,
                seen.shape,
                weights,
                sum(p.numel() for p in new if p.requires_grad),
                sum(b.numel() for b in module.buffers(recurse=False)),
                seen.macs,
                seen.flops,
                ReceptiveField(*seen.field) if seen.field else None,
                seen.calls,
                shared,
            )
        )
    return tuple(rows), by_kind


def _new_parameters(module: nn.Module, counted: set[int]) -> tuple[list[nn.Parameter], bool]:
    """A module's own parameters that no earlier row counted, and whether there were others."""
    mine = list(module.parameters(recurse=False))
    new = [p for p in mine if id(p) not in counted]
    counted.update(id(p) for p in new)
    return new, len(new) < len(mine)


def _kind(module: nn.Module) -> str:
    if isinstance(module, CONVOLUTIONS):
        return "convolution"
    if isinstance(module, nn.Linear):
        return "fully connected"
    return "norm" if isinstance(module, NORMS) else "other"
