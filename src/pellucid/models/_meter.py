"""Follows every operation of one forward pass: multiply-adds, other arithmetic, receptive fields of the results."""

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from . import _fields as fields
from ._fields import Field
from ._rules import Call, Seen, field_after

aten = torch.ops.aten


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts into `macs` and `flops`, and keeps the field of every tensor that comes from the image."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = self.total_macs = 0  # the reader may take the first back to 0
        self.flops = 0
        self.image = tuple(images.shape[1:])  # (C, H, W)
        self._fields: MutableMapping[Tensor, Field] = WeakTensorKeyDictionary()
        self._fields[images] = fields.image_field(images.shape)

    def field(self, tensor: Tensor) -> Field:
        """The receptive field of a tensor's units; None when undefined or not from the image."""
        return self._fields.get(tensor)

    def is_map(self, tensor: Tensor) -> bool | None:
        """Whether a tensor holds the image's axes in its last dimensions; None where that is not known."""
        return fields.is_map(self.field(tensor), tensor.ndim)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        old = args[0].shape if args and isinstance(args[0], Tensor) else Size()  # before an in-place change
        seen = [Seen(t, self._fields[t], t.shape) for t in _tensors((*args, *kwargs.values())) if t in self._fields]
        out = func(*args, **kwargs)
        outputs = _tensors(out if isinstance(out, tuple | list) else (out,))
        self._count(func.overloadpacket, args, kwargs, out, outputs)
        if seen and outputs and func.overloadpacket not in _CONSTANTS:
            field = field_after(func.overloadpacket, Call(args, kwargs, seen, old, outputs[0].shape))
            for number, tensor in enumerate(outputs):
                is_statistic = number > 0 and func.overloadpacket in _NORMS
                self._fields[tensor] = None if is_statistic else field
                if func._schema.is_mutable and tensor._base is not None:
                    self._fields[tensor._base] = None  # a part of it was written
        return out

    def _count(self, packet: Any, args: Any, kwargs: Any, out: Any, outputs: list[Tensor]) -> None:
        if packet in flop_registry:
            flops = flop_registry[packet](*args, **kwargs, out_val=out)
            self.macs += flops // 2
            self.total_macs += flops // 2
            self.flops += flops
        elif outputs and outputs[0].is_floating_point() and packet not in _FREE:
            self.flops += outputs[0].numel() * _per_element(packet, args)


_CONSTANTS = {
    aten.new_zeros,
    aten.new_ones,
    aten.new_full,
    aten.new_empty,
    aten.zeros_like,
    aten.ones_like,
    aten.full_like,
    aten.empty_like,
    aten.rand_like,
    aten.randn_like,
}
"""Made in the image of the image, but not from it."""

_NORMS = {
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    aten.cudnn_batch_norm,
    aten.native_layer_norm,
    aten.native_group_norm,
}

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
    return 1


def _tensors(values: Any) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += [inner for inner in value if isinstance(inner, Tensor)]
    return found
