"""Maximally activating patches: the places in a set of pictures that a unit answers to most.

R. Girshick, J. Donahue, T. Darrell, J. Malik, "Rich feature hierarchies for accurate object detection and semantic
segmentation", CVPR 2014, section 3.1. https://arxiv.org/abs/1311.2524
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.checks import check_eval, check_range
from pellucid.data import ImageSet, Unreadable, batches
from pellucid.geometry import Geometry
from pellucid.models import Model, ReceptiveField, evaluate, receptive_field, unvaried
from pellucid.models.taps import Tap
from pellucid.progress import steps

from ._tap import maps_of, one_layer

GRAY = 0.5
"""What is shown where a patch leaves its image."""


@dataclass(frozen=True)
class Patches:
    """The k places that each of U units answers to most, the best first; all on the CPU."""

    layer: str
    units: tuple[int, ...]  # U channels of the layer
    values: Tensor  # (U, k), float32, what the unit puts out there
    images: Tensor  # (U, k), int64, position in the image set
    files: tuple[tuple[str, ...], ...]  # U times k names
    positions: Tensor  # (U, k, 2), int64, row and column in the layer's map
    windows: Tensor  # (U, k, 4), int64, what the unit sees: top, left, bottom, right (half-open); may leave the image
    field: ReceptiveField | None  # of the layer; None where it is not defined: the window is then the whole image
    geometry: Geometry = dataclasses.field(repr=False)  # the frame that the windows are places in
    errors: tuple[Unreadable, ...] = ()  # pictures that could not be read

    @property
    def boxes(self) -> Tensor:
        """(U, k, 4), int64, the windows clipped to the image."""
        height, width = self.geometry.size
        return self.windows.clamp(min=0).minimum(torch.tensor([height, width, height, width]))

    @property
    def is_padded(self) -> Tensor:
        """(U, k), bool, whether a window leaves the image."""
        return (self.boxes != self.windows).any(dim=-1)

    def crops(self, images: ImageSet, unit: int) -> Tensor:
        """(k, C, h, w), in [0, 1], what a unit (a channel in `units`) sees at its best places; gray beyond the edges.

        Args:
            images: the set that was searched; its pictures are read again.
            unit: one of `units`.
        """
        if unit not in self.units:
            raise ValueError(f"unit must be one of those searched, {self.units[:8]}, got {unit}")
        row = self.units.index(unit)
        found = [images.read(place, self.geometry).float() / 255 for place in self.images[row].tolist()]
        return torch.stack([_cut(one, *box) for one, box in zip(found, self.windows[row].tolist(), strict=True)])

    def json(self) -> list[dict[str, Any]]:
        """A row for each unit and place."""
        boxes, padded = self.boxes.tolist(), self.is_padded.tolist()
        return [
            {
                "unit": unit,
                "rank": rank + 1,
                "value": float(self.values[row, rank]),
                "image": int(self.images[row, rank]),
                "file": self.files[row][rank],
                "position": self.positions[row, rank].tolist(),
                "box": boxes[row][rank],
                "window": self.windows[row, rank].tolist(),
                "is_padded": padded[row][rank],
            }
            for row, unit in enumerate(self.units)
            for rank in range(self.values.shape[1])
        ]


def patches(
    model: Model,
    images: ImageSet,
    *,
    layer: str,
    units: str = "all",
    top: int = 9,
    many: bool = False,
    batch_size: int | None = None,
) -> Patches:
    """The places in a set that each unit of a layer answers to most, with the exact box of what it sees there.

    The set is read once, a batch at a time; of it only the best so far are kept. The box is the layer's theoretical
    receptive field; the whole image along an axis where the field is as large, or not defined. Of equal values the
    earlier image comes first.

    Args:
        model: owns the frame that pictures are brought to; in eval mode, left untouched.
        images: the pictures; those that cannot be read are listed in the result.
        layer: dotted name of a layer with maps or tokens in a grid; of one without positions, whole images are found.
        units: channels to ask, by number with commas, such as 0,3,5; or all.
        top: places kept of each unit, 1 to the number of images.
        many: also several places of one image; otherwise each image's best place alone.
        batch_size: pictures read at a time; None is 16 on a CPU and 128 elsewhere; never changes the result.

    Returns:
        Patches; of fewer readable places than `top`, those there are.

    Raises:
        ValueError: an argument is out of its range, the layer has no positions in the image, nothing can be read.
    """
    check_eval(model)
    if not len(images):
        raise ValueError(f"images must not be empty, got {images.path} without pictures")
    check_range("top", top, 1, None if many else len(images))
    place, device = one_layer(model, layer), model.mean.device
    if batch_size is None:
        batch_size = 16 if device.type == "cpu" else 128
    search: _Search | None = None
    errors: list[Unreadable] = []
    with steps("searching", len(images)) as done:
        for batch in batches(images, model.geometry, batch_size=batch_size):
            errors += batch.errors
            if len(batch.indices):
                pictures = batch.images(device)
                search = search or _Search(model, place, pictures, units, top=top, many=many)
                search.add(pictures, batch.indices)
            done(len(batch.indices) + len(batch.errors))
    if search is None:
        raise ValueError(f"{images.path}: none of the {len(images)} pictures could be read: {errors[0].reason}")
    seen = receptive_field(model, place.partition("[")[0])
    files = tuple(tuple(images.items[number].file for number in row) for row in search.images.tolist())
    windows = _windows(search.positions, seen, model.geometry.size, is_placed=search.is_placed)
    return Patches(
        place,
        search.units,
        search.values,
        search.images,
        files,
        search.positions,
        windows,
        seen,
        model.geometry,
        tuple(errors),
    )


class _Search:
    """The best places so far."""

    def __init__(self, model: Model, place: str, pictures: Tensor, units: str, *, top: int, many: bool) -> None:
        self.tap, self.place, self.top = Tap(model, (place,)), place, top
        self.maps = maps_of(model, place, tuple(pictures.shape[1:]))
        first = evaluate(self.tap, unvaried(pictures[:1]), lambda found, _: self.maps(found[place]))[0]  # (1, K, h, w)
        self.units = _units(units, first.shape[1])
        self.columns, self.is_placed = first.shape[3], first.shape[2] * first.shape[3] > 1
        self.each = min(top, first[0, 0].numel()) if many else 1  # places of one image
        self.values = torch.empty(len(self.units), 0)
        self.images = torch.empty(len(self.units), 0, dtype=torch.int64)
        self.flat = torch.empty(len(self.units), 0, dtype=torch.int64)

    def add(self, pictures: Tensor, numbers: Tensor) -> None:
        """Ask a few more images; numbers (n,) are their places in the set."""
        found = evaluate(self.tap, unvaried(pictures), self._best, label="units")[0].cpu()  # (n, U, m, 2)
        found = found.transpose(0, 1)  # (U, n, m, 2)
        values = torch.cat([self.values, found[..., 0].flatten(1).float()], dim=1)
        flat = torch.cat([self.flat, found[..., 1].flatten(1).long()], dim=1)
        images = torch.cat([self.images, numbers[None, :, None].expand(found.shape[:3]).flatten(1)], dim=1)
        order = values.argsort(dim=1, descending=True, stable=True)[:, : self.top]
        self.values, self.flat, self.images = (kept.gather(1, order) for kept in (values, flat, images))

    @property
    def positions(self) -> Tensor:
        """(U, k, 2), int64, row and column."""
        return torch.stack([self.flat // self.columns, self.flat % self.columns], dim=-1)

    def _best(self, found: dict[str, Tensor], _rows: Tensor) -> Tensor:
        """Values and flat positions (exact in float32 up to 2^24) of each image's best places: (R, U, m, 2)."""
        maps = self.maps(found[self.place])[:, list(self.units)].flatten(2).float()  # (R, U, h * w)
        if self.each == 1:
            values, places = maps.max(dim=2, keepdim=True)
        else:
            values, places = (one[..., : self.each] for one in maps.sort(dim=2, descending=True, stable=True))
        return torch.stack([values, places.to(values.dtype)], dim=-1)


def _units(units: str, channels: int) -> tuple[int, ...]:
    """Channel numbers from text."""
    if units.strip() == "all":
        return tuple(range(channels))
    words = [word.strip() for word in units.split(",") if word.strip()]
    if not words or not all(word.isdecimal() for word in words):
        raise ValueError(f'units must be numbers with commas, such as "0,3,5", or all, got {units!r}')
    numbers = tuple(dict.fromkeys(int(word) for word in words))
    if max(numbers) >= channels:
        raise ValueError(f"units must be in [0, {channels - 1}], the layer has {channels} channels, got {max(numbers)}")
    return numbers


def _windows(positions: Tensor, seen: ReceptiveField | None, size: tuple[int, int], *, is_placed: bool) -> Tensor:
    """(U, k, 4): top, left, bottom, right of what the unit at each position sees."""
    bounds = []
    for axis, side in enumerate(size):
        if seen is None or not is_placed or seen.size[axis] >= side:
            low, high = torch.zeros_like(positions[..., 0]), torch.full_like(positions[..., 0], side)
        else:
            centre = seen.start[axis] + seen.stride[axis] * positions[..., axis].double()
            low = (centre - (seen.size[axis] - 1) / 2 + 1e-6).floor().long()
            high = (centre + (seen.size[axis] - 1) / 2 - 1e-6).ceil().long() + 1
        bounds.append((low, high))
    (top, bottom), (left, right) = bounds
    return torch.stack([top, left, bottom, right], dim=-1)


def _cut(image: Tensor, top: int, left: int, bottom: int, right: int) -> Tensor:
    """A window of an image (C, H, W), gray where it leaves it."""
    height, width = image.shape[1:]
    shown = image.new_full((len(image), bottom - top, right - left), GRAY)
    inside = image[:, max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    down, across = max(0, -top), max(0, -left)
    shown[:, down : down + inside.shape[1], across : across + inside.shape[2]] = inside
    return shown
