"""What each operation does to the receptive field of its input; read by `_meter`, told in the terms of `_fields`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Size, Tensor

from . import _fields as fields
from ._fields import Field

aten = torch.ops.aten


class Seen(NamedTuple):
    """An input that comes from the image, as it was before the operation."""

    tensor: Tensor
    field: Field
    shape: Size


class Call:
    """One operation, as its rule needs to see it."""

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], seen: Sequence[Seen], old: Size, new: Size) -> None:
        self.args, self.kwargs, self.seen = args, kwargs, seen
        self.old, self.shape = old, new  # shapes of the first argument and of the (first) output
        self.own = self.field_of(args[0]) if args else None  # field of the first argument

    def sees(self, value: Any) -> bool:
        """Whether a value is an input that comes from the image."""
        return any(value is one.tensor for one in self.seen)

    def field_of(self, value: Any) -> Field:
        """Its field; None also where it does not come from the image."""
        return next((one.field for one in self.seen if value is one.tensor), None)

    def ints(self, place: int, default: Sequence[int]) -> list[int]:
        """Integers given by position, one for each image axis."""
        value = list(self.args[place]) if len(self.args) > place and self.args[place] else list(default)
        return value * len(self.own or ()) if len(value) == 1 else value


def field_after(packet: Any, call: Call) -> Field:
    """The field of an operation's output."""
    return _RULES.get(packet, _pointwise)(call)


def _pointwise(call: Call) -> Field:
    """Element by element, also with broadcasting; anything else of another shape is not followed."""
    moved = []
    for _, field, shape in call.seen:
        pairs = zip(shape[::-1], call.shape[::-1], strict=False)
        if len(shape) > len(call.shape) or any(a not in {1, b} for a, b in pairs):
            return None
        lead = len(call.shape) - len(shape)
        moved.append(fields.permuted(field, [-1] * lead + list(range(len(shape)))))
    return fields.union(moved)


def _convolution(call: Call) -> Field:
    kernel = list(call.args[1].shape[2:])
    stride, padding, dilation = (
        list(value) * (len(kernel) if len(value) == 1 else 1) for value in (call.args[place] for place in (3, 4, 5))
    )
    slide = fields.transposed if call.args[6] else fields.window
    return slide(call.own, kernel, stride, padding=padding, dilation=dilation, shape=call.shape)


def _pool(call: Call, *, dilated: bool) -> Field:
    kernel = call.ints(1, [1])
    stride = call.ints(2, kernel)
    dilation = call.ints(4, [1]) if dilated else [1] * len(kernel)
    padding = call.ints(3, [0])
    return fields.window(call.own, kernel, stride, padding=padding, dilation=dilation, shape=call.shape)


def _adaptive(call: Call) -> Field:
    count = len(call.own or ())
    if not count:
        return None
    old, new = call.old[-count:], call.shape[-count:]
    if any(b > 1 and a % b for a, b in zip(old, new, strict=True)):
        return None  # windows of unequal size
    ratio = [a // b for a, b in zip(old, new, strict=True)]
    slid = fields.window(call.own, ratio, ratio, padding=[0] * count, dilation=[1] * count, shape=call.shape)
    return fields.whole(slid, [number for number in range(count) if new[number] == 1 < old[number]])


def _reduce(place: int) -> Callable[[Call], Field]:
    """A sum, mean or maximum over the dimensions given there (all, when none are)."""

    def rule(call: Call) -> Field:
        given = call.args[place] if len(call.args) > place else None
        if isinstance(given, Tensor):
            return _pointwise(call)  # the larger of two
        rank = len(call.old)
        dims: Sequence[int] = [given] if isinstance(given, int) else given or range(rank)
        gone = {dim % rank for dim in dims}
        left = [dim for dim in range(rank) if dim not in gone or len(call.shape) == rank]
        return fields.permuted(fields.contracted(call.own, gone), left)

    return rule


def _product(left: int, right: int) -> Callable[[Call], Field]:
    """Matrix products: the operands at those places; the last dimension of one meets the last but one of the other."""

    def rule(call: Call) -> Field:
        operands = [(call.args[left], -1), (call.args[right], -2)]
        seen = [
            fields.contracted(call.field_of(operand), [operand.ndim + gone])
            for operand, gone in operands
            if call.sees(operand)
        ]
        return fields.union([fields.crossed(*seen)] if len(seen) == 2 else seen) if seen else None

    return rule


def _attention(call: Call) -> Field:
    """Queries keep their places; every key and value along the last dimension but one is mixed into each."""
    query, *others = call.args[:3]
    mixed = [fields.contracted(call.field_of(t), [t.ndim - 2]) for t in others if call.sees(t)]
    return fields.union([call.own, *mixed] if call.sees(query) else mixed)


def _along(place: int) -> Callable[[Call], Field]:
    """Mixes everything along one dimension (softmax, cumsum), or the last few (layer norm)."""

    def rule(call: Call) -> Field:
        given, rank = call.args[place], len(call.shape)
        dims = [given % rank] if isinstance(given, int) else range(rank - len(given), rank)
        return fields.mixed(call.own, dims)

    return rule


def _batch_norm(call: Call) -> Field:
    """With the statistics of the input itself (an instance norm is made of it) every unit sees the whole image."""
    uses_input = len(call.args) > 5 and call.args[5] is True
    return fields.whole(call.own) if uses_input else call.own


def _reshape(call: Call) -> Field:
    return fields.reshaped(call.own, call.old, call.shape)


def _transpose(call: Call) -> Field:
    rank = len(call.shape)
    order = list(range(rank))
    given: Sequence[int] = call.args[1:3] if len(call.args) > 2 else (0, 1)
    one, two = given[0] % rank, given[1] % rank
    order[one], order[two] = two, one
    return fields.permuted(call.own, order)


def _slice(call: Call) -> Field:
    given = [*call.args[1:], *(0, 0, 0, 1)[len(call.args) - 1 :]]  # dim, first, end, step
    dim, first, step = given[0] % len(call.old), given[1] or 0, given[3]
    first += call.old[dim] if first < 0 else 0
    return fields.sliced(call.own, dim, first, step, old=call.old, new=call.shape)


def _cat(call: Call) -> Field:
    """Joined along channels: a union; along an image axis the field of a position is no longer one formula."""
    dim = (call.args[1] if len(call.args) > 1 else 0) % len(call.shape)
    if any(fields.lies_in(one.field, dim) for one in call.seen):
        return fields.union([fields.irregular(one.field, [dim], call.shape) for one in call.seen])
    return fields.union([one.field for one in call.seen])


def _select(call: Call) -> Field:
    rank = len(call.old)
    dim = call.args[1] % rank
    return fields.permuted(fields.irregular(call.own, [dim], call.old), [d for d in range(rank) if d != dim])


def _moved_along(dims: Callable[[Call], Iterable[int]]) -> Callable[[Call], Field]:
    """Cut, turned or reordered along dimensions: where those hold the image, no formula is left."""

    def rule(call: Call) -> Field:
        return fields.irregular(call.own, [dim % len(call.old) for dim in dims(call)], call.shape)

    return rule


def _split_dim(call: Call) -> list[int]:
    return [call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)]


def _index(call: Call) -> Field:
    """x[:, order] with one list of numbers keeps the other dimensions."""
    used = [dim for dim, index in enumerate(call.args[1]) if index is not None]
    if len(used) != 1 or call.args[1][used[0]].ndim != 1 or call.args[1][used[0]].dtype == torch.bool:
        return None
    return fields.irregular(call.own, used, call.shape)


def _padded(call: Call) -> Field:
    return fields.padded(call.own, call.args[1], call.shape)


def _undefined(_call: Call) -> Field:
    return None


_RULES: dict[Any, Callable[[Call], Field]] = {
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: lambda call: _pool(call, dilated=True),
    aten.max_pool3d_with_indices: lambda call: _pool(call, dilated=True),
    aten.avg_pool2d: lambda call: _pool(call, dilated=False),
    aten.avg_pool3d: lambda call: _pool(call, dilated=False),
    aten._adaptive_avg_pool2d: _adaptive,
    aten.adaptive_max_pool2d: _adaptive,
    **dict.fromkeys(
        (aten.mean, aten.sum, aten.amax, aten.amin, aten.max, aten.min, aten.prod, aten.var, aten.std, aten.var_mean),
        _reduce(1),
    ),
    aten.logsumexp: _reduce(1),
    aten.linalg_vector_norm: _reduce(2),
    aten.mm: _product(0, 1),
    aten.addmm: _product(1, 2),
    aten.bmm: _product(0, 1),
    aten.baddbmm: _product(1, 2),
    aten._softmax: _along(1),
    aten._log_softmax: _along(1),
    aten.cumsum: _along(1),
    aten.native_layer_norm: _along(1),
    aten.native_group_norm: lambda call: fields.whole(call.own),
    aten.native_batch_norm: _batch_norm,
    aten.cudnn_batch_norm: _batch_norm,
    **dict.fromkeys((aten.view, aten._unsafe_view, aten.reshape, aten.squeeze, aten.unsqueeze), _reshape),
    aten.t: _transpose,
    aten.transpose: _transpose,
    aten.permute: lambda call: fields.permuted(call.own, [dim % len(call.shape) for dim in call.args[1]]),
    aten.slice: _slice,
    aten.select: _select,
    aten.cat: _cat,
    **dict.fromkeys((aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d), _padded),
    aten.upsample_nearest2d: lambda call: fields.resized(call.own, 0, call.shape),
    aten.upsample_bilinear2d: lambda call: fields.resized(call.own, 1, call.shape, aligned=bool(call.args[2])),
    aten.upsample_bicubic2d: lambda call: fields.resized(call.own, 3, call.shape, aligned=bool(call.args[2])),
    aten.split: _moved_along(_split_dim),
    aten.split_with_sizes: _moved_along(_split_dim),
    aten.roll: _moved_along(lambda call: call.args[2] if len(call.args) > 2 and call.args[2] else range(len(call.old))),
    aten.flip: _moved_along(lambda call: call.args[1]),
    aten.index_select: _moved_along(lambda call: [call.args[1]]),
    aten.index: _index,
    **dict.fromkeys(
        (aten.sort, aten.gather, aten.scatter, aten.grid_sampler_2d, aten.index_put, aten.index_put_), _undefined
    ),
    **dict.fromkeys(
        (
            aten._scaled_dot_product_flash_attention_for_cpu,
            aten._scaled_dot_product_flash_attention,
            aten._scaled_dot_product_efficient_attention,
            aten._scaled_dot_product_cudnn_attention,
            aten._scaled_dot_product_attention_math,
        ),
        _attention,
    ),
}
