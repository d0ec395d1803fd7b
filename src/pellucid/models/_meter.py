"""Follows every operation of one forward pass: multiply-adds, other arithmetic, receptive fields of the results."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from . import _fields as fields
from ._fields import Field

aten = torch.ops.aten


class Meter(TorchDispatchMode):
    """Counts into `macs` and `flops`, and keeps the field of every tensor that comes from the image."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.macs = 0
        self.flops = 0
        self._fields = WeakTensorKeyDictionary()
        self._fields[images] = fields.image_field(images.shape)

    def field(self, tensor: Tensor) -> Field:
        """The receptive field of a tensor's units; None when undefined or not from the image."""
        found: Field = self._fields.get(tensor)
        return found

    def is_map(self, tensor: Tensor) -> bool | None:
        """Whether a tensor holds the image's axes in its last dimensions; None where that is not known."""
        return fields.is_map(self.field(tensor), tensor.ndim)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]  # noqa: ANN
        kwargs = kwargs or {}
        shapes = [a.shape if isinstance(a, Tensor) else None for a in args]  # before an in-place change
        inputs = [t for t in _tensors((*args, *kwargs.values())) if t in self._fields]
        before = [self._fields[t] for t in inputs]
        first = _tensors(args)
        extents = [t.shape for t in inputs]
        out = func(*args, **kwargs)
        outputs = _tensors(out if isinstance(out, tuple | list) else (out,))
        self._count(func, args, kwargs, out, outputs)
        if inputs and outputs:
            rule = _RULES.get(func.overloadpacket, _pointwise)
            own = before[0] if first and first[0] is inputs[0] else None
            field = rule(_Call(before, extents, own, args, kwargs, shapes, outputs[0].shape))
            for number, tensor in enumerate(outputs):
                self._fields[tensor] = _part(field, number, tensor, func)
        return out

    def _count(self, func: Any, args: Any, kwargs: Any, out: Any, outputs: list[Tensor]) -> None:
        packet = func.overloadpacket
        if packet in flop_registry:
            self.macs += flop_registry[packet](*args, **kwargs, out_val=out) // 2
            self.flops += flop_registry[packet](*args, **kwargs, out_val=out)
        elif outputs and outputs[0].is_floating_point() and packet not in _FREE:
            self.flops += outputs[0].numel() * _per_element(packet, args)


class _Call:
    """One operation, as its rule needs to see it."""

    def __init__(
        self,
        before: list[Field],
        extents: list[Size],
        own: Field,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        shapes: list[Size | None],
        shape: Size,
    ) -> None:
        self.before, self.extents, self.own = before, extents, own  # fields and shapes of the inputs that have one
        self.args, self.kwargs, self.shapes, self.shape = args, kwargs, shapes, shape

    def ints(self, place: int, default: Sequence[int]) -> list[int]:
        """Integers given by position, one for each image axis."""
        value = list(self.args[place]) if len(self.args) > place and self.args[place] else list(default)
        axes = len(self.own or ())
        return value * axes if len(value) == 1 else value


def _pointwise(call: _Call) -> Field:
    """Element by element, also with broadcasting; anything else of another shape is not followed."""
    moved = []
    for field, shape in zip(call.before, call.extents, strict=True):
        if len(shape) > len(call.shape) or any(a not in {1, b} for a, b in zip(shape[::-1], call.shape[::-1])):
            return None
        lead = len(call.shape) - len(shape)
        moved.append(fields.permuted(field, [-1] * lead + list(range(len(shape)))))
    return fields.union(moved)


def _convolution(call: _Call) -> Field:
    kernel = list(call.args[1].shape[2:])
    stride, padding, dilation, backwards = (call.args[place] for place in (3, 4, 5, 6))
    ones = [1] * len(kernel)
    stride, padding, dilation = (list(v) * (len(kernel) if len(v) == 1 else 1) for v in (stride, padding, dilation))
    if backwards:
        return fields.transposed(call.own, kernel, stride, call.shape)
    return fields.window(call.own, kernel, stride, padding, dilation or ones, call.shape)


def _pool(call: _Call, *, dilated: bool) -> Field:
    kernel = call.ints(1, [1])
    stride = call.ints(2, kernel)
    dilation = call.ints(4, [1]) if dilated else [1] * len(kernel)
    return fields.window(call.own, kernel, stride, call.ints(3, [0]), dilation, call.shape)


def _adaptive(call: _Call) -> Field:
    if call.own is None or call.shapes[0] is None:
        return None
    count = len(call.own)
    old, new = call.shapes[0][-count:], call.shape[-count:]
    if any(b > 1 and a % b for a, b in zip(old, new, strict=True)):
        return None  # windows of unequal size
    ratio = [a // b for a, b in zip(old, new, strict=True)]
    slid = fields.window(call.own, ratio, ratio, [0] * count, [1] * count, call.shape)
    return fields.whole(slid, [number for number, size in enumerate(new) if size == 1])


def _reduce(call: _Call) -> Field:
    shape = call.shapes[0]
    if shape is None:
        return None
    given = call.args[1] if len(call.args) > 1 else None
    dims = range(len(shape)) if given in (None, []) else [given] if isinstance(given, int) else given
    gone = sorted(dim % len(shape) for dim in dims)
    kept = len(call.shape) == len(shape)
    left = list(range(len(shape))) if kept else [dim for dim in range(len(shape)) if dim not in gone]
    return fields.permuted(fields.contracted(call.own, gone), left)


def _product(left: int, right: int) -> Callable[[_Call], Field]:
    """Matrix products: the operands at those places; the last dimension of one meets the last but one of the other."""

    def rule(call: _Call) -> Field:
        seen = []
        for place, gone in ((left, -1), (right, -2)):
            operand = call.args[place]
            index = next((i for i, t in enumerate(call.extents) if t == operand.shape), None)
            if index is not None and any(operand.shape == s for s in call.extents):
                seen.append(fields.contracted(call.before[index], [operand.ndim + gone]))
        return fields.union(seen) if seen else None

    return rule


def _attention(call: _Call) -> Field:
    return fields.whole(call.own)


def _along(place: int) -> Callable[[_Call], Field]:
    """Mixes everything along one dimension (softmax, cumsum), or the last few (layer norm)."""

    def rule(call: _Call) -> Field:
        given = call.args[place]
        rank = len(call.shape)
        dims = [given % rank] if isinstance(given, int) else list(range(rank - len(given), rank))
        return fields.contracted(call.own, dims)

    return rule


def _reshape(call: _Call) -> Field:
    return fields.reshaped(call.own, call.shapes[0] or Size(), call.shape)


def _transpose(call: _Call) -> Field:
    rank = len(call.shape)
    order = list(range(rank))
    one, two = (dim % rank for dim in (call.args[1:3] if len(call.args) > 2 else (0, 1)))
    order[one], order[two] = two, one
    return fields.permuted(call.own, order)


def _slice(call: _Call) -> Field:
    dim, first, _, step = (*call.args[1:], *(0, 0, 0, 1)[len(call.args) - 1 :])
    old = call.shapes[0] or Size()
    first = first or 0
    return fields.sliced(call.own, dim % len(old), first + old[dim] if first < 0 else first, step, call.shape)


def _cat(call: _Call) -> Field:
    """Joined along channels: a union; along an image axis the field of a position is no longer one formula."""
    dim = call.args[1] if len(call.args) > 1 else 0
    joined = fields.union(call.before)
    return joined if joined is None else None if _lies_in(joined, dim % len(call.shape)) else joined


def _lies_in(field: tuple[fields.Axis, ...], dim: int) -> bool:
    return any(axis.dim == dim and not math.isinf(axis.size) and axis.extent > 1 and axis.stride == 1 for axis in field)


def _select(call: _Call) -> Field:
    rank = len(call.shape) + 1
    dim = call.args[1] % rank
    return fields.permuted(call.own, [d for d in range(rank) if d != dim])


def _squeeze(call: _Call) -> Field:
    return fields.reshaped(call.own, call.shapes[0] or Size(), call.shape)


def _part(field: Field, number: int, tensor: Tensor, func: Any) -> Field:
    """The field of one of several outputs: the pieces of a split begin where the last ended."""
    if number and func.overloadpacket in _NORMS:
        return None  # saved statistics
    return field


_NORMS = {
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten.cudnn_batch_norm,
    aten.native_layer_norm,
    aten.native_group_norm,
}

_RULES: dict[Any, Callable[[_Call], Field]] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: lambda call: _pool(call, dilated=True),
    aten.max_pool3d_with_indices: lambda call: _pool(call, dilated=True),
    aten.avg_pool2d: lambda call: _pool(call, dilated=False),
    aten.avg_pool3d: lambda call: _pool(call, dilated=False),
    aten._adaptive_avg_pool2d: _adaptive,
    aten.adaptive_max_pool2d: _adaptive,
    aten.mean: _reduce,
    aten.sum: _reduce,
    aten.amax: _reduce,
    aten.amin: _reduce,
    aten.mm: _product(0, 1),
    aten.addmm: _product(1, 2),
    aten.bmm: _product(0, 1),
    aten.baddbmm: _product(1, 2),
    aten._softmax: _along(1),
    aten._log_softmax: _along(1),
    aten.native_layer_norm: _along(1),
    aten.native_group_norm: _attention,
    aten.view: _reshape,
    aten._unsafe_view: _reshape,
    aten.reshape: _reshape,
    aten.squeeze: _squeeze,
    aten.unsqueeze: _squeeze,
    aten.t: _transpose,
    aten.transpose: _transpose,
    aten.permute: lambda call: fields.permuted(call.own, [dim % len(call.shape) for dim in call.args[1]]),
    aten.slice: _slice,
    aten.select: _select,
    aten.cat: _cat,
    aten.constant_pad_nd: lambda call: fields.padded(call.own, call.args[1], call.shape),
    aten.reflection_pad2d: lambda call: fields.padded(call.own, call.args[1], call.shape),
    aten.replication_pad2d: lambda call: fields.padded(call.own, call.args[1], call.shape),
    aten.upsample_nearest2d: lambda call: fields.resized(call.own, 0, call.shape),
    aten.upsample_bilinear2d: lambda call: fields.resized(call.own, 1, call.shape),
    aten.upsample_bicubic2d: lambda call: fields.resized(call.own, 3, call.shape),
    aten.split: lambda call: None if _cut(call) else call.own,
    aten.split_with_sizes: lambda call: None if _cut(call) else call.own,
    aten.roll: lambda call: None,  # noqa: ARG005
    aten.flip: lambda call: None,  # noqa: ARG005
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention: _attention,
    aten._scaled_dot_product_efficient_attention: _attention,
    aten._scaled_dot_product_cudnn_attention: _attention,
    aten._scaled_dot_product_attention_math: _attention,
}


def _cut(call: _Call) -> bool:
    dim = call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)
    return call.own is None or _lies_in(call.own, dim % len(call.shape))


_FREE = {
    aten.view,
    aten._unsafe_view,
    aten.reshape,
    aten.squeeze,
    aten.unsqueeze,
    aten.t,
    aten.transpose,
    aten.permute,
    aten.slice,
    aten.select,
    aten.cat,
    aten.split,
    aten.split_with_sizes,
    aten.expand,
    aten.clone,
    aten.detach,
    aten.alias,
    aten.copy_,
    aten._to_copy,
    aten.constant_pad_nd,
    aten.empty,
    aten.zeros,
    aten.roll,
    aten.unbind,
    aten.index,
    aten.lift_fresh,
}


def _per_element(packet: Any, args: Sequence[Any]) -> int:
    """Arithmetic for each output element: 2 for a norm, the window's size for pooling, else 1."""
    if packet in _NORMS:
        return 2
    if packet in {aten.max_pool2d_with_indices, aten.avg_pool2d}:
        kernel = list(args[1])
        return math.prod(kernel * 2 if len(kernel) == 1 else kernel)
    if packet in {aten.mean, aten.sum, aten.amax, aten._adaptive_avg_pool2d} and isinstance(args[0], Tensor):
        return 1
    return 1


def _tensors(values: Any) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += [inner for inner in value if isinstance(inner, Tensor)]
    return found
