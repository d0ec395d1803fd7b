"""Receptive fields of tensors, followed through every operation as it runs.

Each tensor that comes from the image carries, for both image axes, the field of its units: side r, step j between
neighbouring units and first centre c, in input pixels (A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019; the recursions r' = r + (k_e - 1) j, c' = c + ((k_e - 1)/2 - p) j,
j' = j s). Where branches meet, the field is the union of theirs. An axis also knows where in the tensor its
positions lie, so that flattening, permuting and token layouts keep it, and a product over it sees the whole image.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Size


@dataclass(frozen=True)
class Axis:
    """One image axis as the units of a tensor see it."""

    size: float  # side of the field in input pixels; infinite: the whole image; NaN: no one formula for all units
    jump: float  # step between neighbouring units
    start: float  # centre of the first unit's field, in pixel-centre coordinates
    dim: int = -1  # dimension of the tensor that holds the positions
    stride: int = 1  # elements of that dimension between neighbouring positions
    extent: int = 1  # number of positions


Ints = Sequence[int]
Field = tuple[Axis, ...] | None
"""An axis for each image axis; None where the field is not defined (windows of a shifted grid, say)."""

WHOLE = Axis(math.inf, 0, 0)


def image_field(shape: Size) -> Field:
    """The field of an image's own pixels, (N, C, *axes)."""
    return tuple(Axis(1, 1, 0, dim, 1, shape[dim]) for dim in range(2, len(shape)))


def whole(field: Field, axes: Iterable[int] | None = None) -> Field:
    """The same positions, with some axes (all, when None) seeing the whole image."""
    if field is None:
        return None
    chosen = range(len(field)) if axes is None else set(axes)
    return tuple(_seeing_all(axis) if number in chosen else axis for number, axis in enumerate(field))


def union(fields: Sequence[Field]) -> Field:
    """The field of what is computed from all of them, position by position."""
    if not fields or any(field is None for field in fields):
        return None
    for axes in zip(*(field for field in fields if field is not None), strict=True):
        if len({axis.dim for axis in axes if axis.dim >= 0 and not math.isinf(axis.size)}) > 1:
            return None  # positions along different dimensions
    return tuple(_joined(axes) for axes in zip(*(field for field in fields if field is not None), strict=True))


def is_map(field: Field, rank: int) -> bool | None:
    """Whether the axes lie in the last dimensions, in order, as (N, C, h, w); None where it is not known."""
    if field is None or any(axis.dim < 0 for axis in field):  # summed over, or seeing all and lost sight of
        return None
    return all(axis.dim == rank - len(field) + number and axis.stride == 1 for number, axis in enumerate(field))


def window(field: Field, kernel: Ints, stride: Ints, *, padding: Ints, dilation: Ints, shape: Size) -> Field:
    """Convolution and pooling: a window of kernel taps slides over the last dimensions."""
    return _on_axes(field, shape, lambda axis, i: _slid(axis, kernel[i], stride[i], padding[i], dilation[i]))


def transposed(field: Field, kernel: Ints, stride: Ints, *, padding: Ints, dilation: Ints, shape: Size) -> Field:
    """Transposed convolution: output o sees the inputs between (o + p - (k_e - 1)) / s and (o + p) / s."""

    def spread(axis: Axis, i: int) -> Axis:
        reach = dilation[i] * (kernel[i] - 1)
        return replace(
            axis,
            size=axis.size + (math.ceil((reach + 1) / stride[i]) - 1) * axis.jump,
            start=axis.start + (padding[i] - reach / 2) / stride[i] * axis.jump,
            jump=axis.jump / stride[i],
        )

    return _on_axes(field, shape, spread)


def resized(field: Field, reach: int, shape: Size, *, aligned: bool = False) -> Field:
    """Interpolation to a new size: nearest (reach 0), bilinear (1) or bicubic (3) further neighbours.

    Aligned, the centres of the corner units stay where they are; else the outer edges do.
    """

    def grown(axis: Axis, i: int) -> Axis:
        count = shape[len(shape) - len(field or ()) + i]
        step = (axis.extent - 1) / max(1, count - 1) if aligned else axis.extent / count
        start = axis.start + (0 if aligned else (step - 1) / 2 * axis.jump)
        return replace(axis, size=axis.size + reach * axis.jump, jump=axis.jump * step, start=start)

    return _on_axes(field, shape, grown)


def padded(field: Field, pads: Sequence[int], shape: Size) -> Field:
    """Padding given as in F.pad, last dimension first."""
    if field is None:
        return None
    axes = []
    for axis in field:
        place = 2 * (len(shape) - 1 - axis.dim)
        before = pads[place] if axis.dim >= 0 and place < len(pads) else 0
        extent = shape[axis.dim] if axis.dim >= 0 and axis.stride == 1 else axis.extent
        axes.append(replace(axis, start=axis.start - before * axis.jump, extent=extent))
    return tuple(axes)


def sliced(field: Field, dim: int, first: int, step: int, *, old: Size, new: Size) -> Field:
    """A slice along one dimension."""
    if field is None or old[dim] == new[dim]:
        return field
    axes = []
    for axis in field:
        if axis.dim != dim:
            axes.append(axis)
        elif axis.extent != old[dim] or len(_inside(field, dim)) > 1:
            axes.append(_without_formula(axis, new))
        else:
            start, jump = axis.start + first * axis.jump, axis.jump * step
            axes.append(replace(axis, start=start, jump=jump, extent=new[dim]))
    return tuple(axes)


def permuted(field: Field, order: Sequence[int]) -> Field:
    """Dimensions in another order: new dimension d was order[d]."""
    if field is None:
        return None
    places = {dim: place for place, dim in enumerate(order) if dim >= 0}
    return tuple(replace(axis, dim=places.get(axis.dim, -1)) for axis in field)


def reshaped(field: Field, old: Size, new: Size) -> Field:
    """The same elements under new dimensions; an axis that is cut in two loses its field."""
    if field is None or math.prod(old) != math.prod(new):
        return None
    axes = []
    for axis in field:
        if axis.dim < 0 or old[: axis.dim + 1] == new[: axis.dim + 1]:
            axes.append(axis)
        elif axis.extent == 1:
            axes.append(replace(axis, dim=-1, stride=1))
        elif moved := _moved(axis, old, new):
            axes.append(moved)
        elif math.isinf(axis.size):
            axes.append(WHOLE)
        else:
            return None
    return tuple(axes)


def contracted(field: Field, dims: Iterable[int]) -> Field:
    """A sum over dimensions: axes that lie there now see the whole image."""
    if field is None:
        return None
    gone = set(dims)
    return tuple(WHOLE if axis.dim in gone and axis.extent > 1 else axis for axis in field)


def mixed(field: Field, dims: Iterable[int]) -> Field:
    """Each position along these dimensions computed from all of them: axes that lie there see the whole image."""
    if field is None:
        return None
    inside = set(dims)
    return tuple(_seeing_all(axis) if axis.dim in inside and axis.extent > 1 else axis for axis in field)


def crossed(left: Field, right: Field) -> Field:
    """A product of two maps: where their positions lie in different dimensions, each meets each."""
    if left is None or right is None:
        return None
    apart = [n for n, (a, b) in enumerate(zip(left, right, strict=True)) if -1 < a.dim != b.dim > -1]
    return union([whole(left, apart), whole(right, apart)])


def lies_in(field: Field, dim: int) -> bool:
    """Whether a dimension holds positions of the image."""
    return field is not None and bool(_inside(field, dim))


def irregular(field: Field, dims: Iterable[int], shape: Size) -> Field:
    """Positions along these dimensions (of shape) were reordered, cut or joined: no one formula tells their fields."""
    if field is None:
        return None
    touched = set(dims)
    return tuple(_without_formula(axis, shape) if axis.dim in touched else axis for axis in field)


def told(field: Field) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None:
    """(sizes, jumps, starts), or None where undefined."""
    if not field or any(math.isnan(axis.size) for axis in field):
        return None
    return tuple(a.size for a in field), tuple(a.jump for a in field), tuple(a.start for a in field)


def _joined(axes: Sequence[Axis]) -> Axis:
    """The union of several fields of one image axis."""
    placed = next((axis for axis in axes if axis.dim >= 0), axes[0])
    if any(math.isinf(axis.size) for axis in axes):
        return _seeing_all(placed)
    alike = len({(axis.jump, axis.dim, axis.stride, axis.extent) for axis in axes}) == 1
    if not alike or any(math.isnan(axis.size) for axis in axes):
        return replace(max(axes, key=lambda axis: axis.extent), size=math.nan)
    low = min(axis.start - (axis.size - 1) / 2 for axis in axes)
    high = max(axis.start + (axis.size - 1) / 2 for axis in axes)
    return replace(placed, size=high - low + 1, start=(high + low) / 2)


def _inside(field: tuple[Axis, ...], dim: int) -> list[Axis]:
    """The axes whose positions lie in a dimension."""
    return [axis for axis in field if axis.dim == dim]


def _without_formula(axis: Axis, shape: Size) -> Axis:
    """Still somewhere in its dimension, all of which it then claims."""
    size = axis.size if math.isinf(axis.size) else math.nan
    return replace(axis, size=size, stride=1, extent=shape[axis.dim])


def _seeing_all(axis: Axis) -> Axis:
    return replace(axis, size=math.inf, jump=0, start=0)


def _slid(axis: Axis, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    reach = dilation * (kernel - 1)
    return replace(
        axis,
        size=axis.size + reach * axis.jump,
        start=axis.start + (reach / 2 - padding) * axis.jump,
        jump=axis.jump * stride,
    )


def _on_axes(field: Field, shape: Size, change: Callable[[Axis, int], Axis]) -> Field:
    """Apply a change to every axis, which must lie in its usual place: the last dimensions, in order."""
    if field is None:
        return None
    first = len(shape) - len(field)
    axes = []
    for number, axis in enumerate(field):
        if math.isinf(axis.size):
            axes.append(replace(axis, extent=shape[axis.dim]) if axis.dim >= 0 else axis)
            continue
        if axis.dim != first + number or axis.stride != 1:
            return None
        axes.append(replace(change(axis, number), extent=shape[first + number]))
    return tuple(axes)


def _moved(axis: Axis, old: Size, new: Size) -> Axis | None:
    """Where an axis lies after a reshape, found by its stride in the flat order; None when it was cut."""
    stride = axis.stride * math.prod(old[axis.dim + 1 :])
    for dim in range(len(new)):
        step = math.prod(new[dim + 1 :])
        if stride % step == 0 and stride // step * axis.extent <= new[dim] and step <= stride < step * new[dim]:
            return replace(axis, dim=dim, stride=stride // step)
    return None
