"""The three parts of a labelled image set, in memory: to learn from, to choose by, and to be judged by once.

Choices (the best epoch, when to stop) are made on val; test is read at the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pellucid.checks import check_choice, check_count, check_range, near
from pellucid.data import (
    ClassLabel,
    ImageSet,
    Pixels,
    Split,
    builtin,
    content_keys,
    in_memory,
    open_images,
    split_indices,
    stamp_of,
)
from pellucid.data.builtin import IMAGES
from pellucid.geometry import Geometry

SMALL = 64
"""Pictures of up to this side are taken as they are; larger ones are brought to LARGE unless a size is given."""

LARGE = 224

SHARE = 0.25
"""Of a device's free memory, that a training part may take to lie there."""

GRAY = frozenset({"1", "L", "LA", "I", "I;16", "F"})
"""Kinds of picture, in Pillow's words, that hold no colour."""


@dataclass(frozen=True)
class Sets:
    """A labelled set in parts; no picture stands in two of them."""

    geometry: Geometry  # the frame every picture was brought to
    train: Pixels
    val: Pixels | None  # None: nothing is held out
    test: Pixels | None  # None: the set has no test part
    notes: tuple[str, ...]  # what was left out, and why

    @cached_property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Number and hash of the images of each part, for a record; equal only where all pictures and labels are."""
        there = {"train": self.train, "val": self.val, "test": self.test}
        return {name: stamp_of(p.pixels, p.targets, p.classes) for name, p in there.items() if p is not None}


def open_sets(
    data: str,
    *,
    size: int | None = None,
    channels: int | None = None,
    val: float = 0.1,
    limit: int | None = None,
    seed: int = 0,
    geometry: Geometry | None = None,
    has_classes: bool = True,
) -> Sets:
    """Read a labelled set into memory, in parts.

    Args:
        data: a built-in image set (digits, cifar10, mnist), or a path as `open_images` takes it.
        size: side of the images; None takes theirs, up to 64, else 224.
        channels: 1 for gray, 3 for colour; None takes the first picture's.
        val: share of the training part (below 1), or number of its images, held out to choose by; 0 for none. A set
            with a val part of its own keeps that one.
        limit: images of the training part that are used, chosen by class; None uses all.
        seed: of what is held out, and of a test part where the set has none (a fifth).
        geometry: the frame every picture is brought to, in place of size and channels; None makes one of those.
        has_classes: whether labels are needed; where not, every picture is of one class, whatever it is called.

    Raises:
        ValueError: no such set, pictures without labels or that cannot be read, or a class left without any.
    """
    check_range("val", val, 0)
    for name, number in (("size", size), ("limit", limit)):
        check_count(name, 1 if number is None else number, 1)
    check_choice("channels", str(channels), ("None", "1", "3"))
    parts = _parts(data, seed, has_classes=has_classes)
    geometry = _geometry(next(iter(parts.values())), size, channels) if geometry is None else geometry
    found = {name: in_memory(images, geometry) for name, images in parts.items()}
    found, notes = _without_twins(found)
    train = found["train"]
    if has_classes:
        _check_classes(train, data)
    if limit is not None and limit < len(train):
        train = train.subset(_some(train, limit, seed + 2))
    held = found.get("val")
    if held is None and val:
        keys = content_keys(train.pixels)
        split = _split(train, seed + 1, val=val, test=0.0, contents=keys)
        train, held = train.subset(split.train), train.subset(split.val)
    return Sets(geometry, train, held, found.get("test"), notes)


def near_by(pixels: Pixels, device: torch.device) -> Pixels:
    """A set on the device that trains on it, which then augments it too, where a quarter of the free memory holds it.

    Only CUDA: augmentation computes some places in float64, which other accelerators lack.

    Args:
        pixels: the set, as bytes.
        device: of the training.
    """
    if device.type != "cuda" or pixels.pixels.nbytes > torch.cuda.mem_get_info(device)[0] * SHARE:
        return pixels
    return pixels.to(device)


def frame_of(data: str, *, size: int | None = None, channels: int | None = None) -> Geometry:
    """The frame to which `open_sets` would bring every picture; only the first is read."""
    return _geometry(next(iter(_parts(data, 0).values())), size, channels)


def _parts(data: str, seed: int, *, has_classes: bool = True) -> dict[str, ImageSet]:
    """train, and test and val where there are any."""
    known = _labelled if has_classes else _of_one_class
    if data in IMAGES:
        return {split: known(builtin(data, split=split, seed=seed)) for split in ("train", "test")}
    if not Path(data).exists() and near(data, IMAGES):
        raise ValueError(f"{data}: no such file or folder, and no built-in set{near(data, IMAGES)}")
    if Path(data).suffix.lower() == ".csv" and Path(data).is_file():
        raise ValueError(f"{data}: is a table, not pictures; pellucid train tabular learns from tables")
    first = open_images(data)
    if "train" in first.splits:
        names = [name for name in ("train", "val", "test") if name in first.splits]
        opened = {name: first if name == first.split else open_images(data, split=name) for name in names}
        if not has_classes:
            return {name: _of_one_class(part) for name, part in opened.items() if len(part)}
        _labelled(opened["train"])
        return {name: part for name, part in opened.items() if name == "train" or (part.targets >= 0).any()}
    images = known(open_images(data, split="all") if first.splits else first)
    split = _split(images, seed, test=0.2)
    return {name: images.subset(part.tolist()) for name, part in (("train", split.train), ("test", split.test))}


def _labelled(images: object) -> ImageSet:
    if not isinstance(images, ImageSet) or not images.labels:
        raise ValueError(f"{getattr(images, 'path', images)}: has no labelled pictures; put them into a folder a class")
    return images


def _of_one_class(images: object) -> ImageSet:
    """Every picture, with a label that says nothing."""
    assert isinstance(images, ImageSet)
    if not len(images):
        told = f": {images.errors[0].file}: {images.errors[0].reason}" if images.errors else ""
        raise ValueError(f"{images.path}: holds no picture{told}")
    return replace(images, labels=(ClassLabel("picture"),), items=tuple(replace(i, target=0) for i in images.items))


def _geometry(images: ImageSet, size: int | None, channels: int | None) -> Geometry:
    """The frame: the first picture's own, where nothing else is said."""
    item = images.items[0]
    first = images.sources[item.source].read(item.name)
    channels = (1 if first.mode in GRAY else 3) if channels is None else channels
    width, height = first.size
    if size is None:
        size = min(height, width) if min(height, width) <= SMALL else LARGE
    if height == width and size in {height, *range(SMALL + 1)}:
        return Geometry((size, size), None, "bilinear", channels)
    return Geometry((size, size), size if size <= SMALL else round(size * 256 / 224), "bilinear", channels)


def _without_twins(found: dict[str, Pixels]) -> tuple[dict[str, Pixels], tuple[str, ...]]:
    """The parts, val without the pictures of test, and train without those of both."""
    judged: set[bytes] = set()
    kept, notes = dict(found), []
    for name in ("test", "val", "train"):
        if name not in found:
            continue
        keys = content_keys(found[name].pixels)
        keep = [place for place, key in enumerate(keys) if key not in judged]
        if not keep:
            raise ValueError(f"every picture of the {name} part stands in another part too: nothing of it is left")
        if len(keep) < len(keys):
            word = "training" if name == "train" else name
            notes.append(f"{len(keys) - len(keep)} {word} pictures stand in another part too and are left out")
            kept[name] = found[name].subset(torch.tensor(keep))
        judged.update(keys)
    return kept, tuple(reversed(notes))


def _check_classes(train: Pixels, data: str) -> None:
    """Refuse a training part that leaves nothing to tell apart, or a class without pictures."""
    if len(train.classes) < 2:
        raise ValueError(f"{data}: all pictures are of one class, {train.classes[0]}; a classifier needs at least two")
    counts = train.targets.bincount(minlength=len(train.classes))
    missing = [name for name, count in zip(train.classes, counts.tolist(), strict=True) if not count]
    if missing:
        more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
        raise ValueError(f"{data}: the training part has no picture of class {missing[0]}{more}; add some")


def _split(
    images: ImageSet | Pixels,
    seed: int,
    *,
    val: float = 0.0,
    test: float = 0.0,
    contents: Sequence[bytes] | None = None,
) -> Split:
    """Parts of a set, every class in proportion; a refusal names the rarest class."""
    generator = torch.Generator().manual_seed(seed)
    try:
        return split_indices(images.targets, val=val, test=test, contents=contents, generator=generator)
    except ValueError as error:
        counts = images.targets.bincount(minlength=len(images.classes))
        name, count = images.classes[int(counts.argmin())], int(counts.min())
        told = f"{error}; the rarest class is {name}, with {count} of {len(images)} pictures"
        if count < 3:
            few = f"class {name} has too few pictures to hold some out, {count} of {len(images)}"
            told = f"{few}: add some or leave it out"
        raise ValueError(told) from error


def _some(train: Pixels, limit: int, seed: int) -> torch.Tensor:
    """Positions of so many images, every class in proportion."""
    classes = len(train.classes)
    try:
        chosen = split_indices(train.targets, test=len(train) - limit, generator=torch.Generator().manual_seed(seed))
    except ValueError as error:
        raise ValueError(f"limit must be larger to leave a picture of all {classes} classes, got {limit}") from error
    return chosen.train
