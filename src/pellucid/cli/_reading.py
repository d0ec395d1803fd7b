"""Pictures that a verb asks about: opened, matched with the model's classes, sampled, then read as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pellucid import data
from pellucid.data import ImageSet, Unreadable
from pellucid.progress import steps

if TYPE_CHECKING:
    from pellucid.models import Model


@dataclass(frozen=True)
class Chosen:
    """Pictures that are to be read."""

    path: str  # as the user wrote it
    images: ImageSet
    index: dict[int, int]  # class of the set -> class of the model; empty for a set without labels
    errors: tuple[Unreadable, ...]  # what was left out when the set was opened


@dataclass(frozen=True)
class Read:
    """Pictures in memory."""

    path: str
    split: str
    files: tuple[str, ...]  # N
    pixels: Tensor  # (N, C, H, W), uint8, on the CPU
    labels: Tensor | None  # (N,), int64, the model's classes; None for a set without labels
    errors: tuple[Unreadable, ...]

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, rows: Tensor | slice = slice(None), device: str | torch.device = "cpu") -> Tensor:
        """(n, C, H, W), float32, in [0, 1]."""
        return self.pixels[rows].to(device).float().div_(255)

    def image(self, place: int) -> Tensor:
        """(C, H, W), float32, in [0, 1]."""
        return self.pixels[place].float().div_(255)


def chosen(
    model: "Model",
    paths: Sequence[str],
    *,
    split: str | None = None,
    class_level: int = 1,
    class_map: str = "",
    limit: int = 0,
    seed: int = 0,
    is_labelled: bool = True,
) -> Chosen:
    """Open a data set, or pictures named one by one, and draw a sample of it; nothing is decoded yet.

    Args:
        model: whose classes the labels are matched with.
        paths: a data set alone, or picture files, folders, zips and patterns, which have no labels.
        split: as of `open_images`.
        class_level: as of `open_images`.
        class_map: a file for `read_class_map`, or "".
        limit: pictures drawn; 0 for all.
        seed: of the sample.
        is_labelled: whether labels are of interest; pictures without one are left out of a labelled set then.
    """
    pictures = opened(paths, split, class_level)
    errors = list(pictures.errors)
    index: dict[int, int] = {}
    items = list(range(len(pictures)))
    if pictures.labels and is_labelled:
        table = data.read_class_map(class_map) if class_map else None
        matches = data.class_matches(pictures, model.classes, model.class_ids, table)
        index = {match.target: match.index for match in matches}
        items = [place for place in items if pictures.items[place].target is not None]
        errors += [Unreadable(item.file, "has no label") for item in pictures.items if item.target is None]
    if limit and limit < len(items):
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
        items = [items[place] for place in sorted(order[:limit].tolist())]
    return Chosen(pictures.path, pictures.subset(items), index, tuple(errors))


def read(some: Chosen, model: "Model") -> Read:
    """Decode them, as the model's frame has them; what cannot be read becomes a line.

    Raises:
        ValueError: not one can be read.
    """
    errors, parts, places = list(some.errors), [], []
    with steps("reading", len(some.images)) as done:
        for batch in data.batches(some.images, model.geometry):
            errors += batch.errors
            if len(batch.indices):
                parts.append(batch.pixels)
                places += batch.indices.tolist()
            done(len(batch.indices) + len(batch.errors))
    if not parts:
        reason = f": {errors[0].file}: {errors[0].reason}" if errors else ""
        raise ValueError(f"{some.path}: none of the pictures could be read{reason}")
    files = tuple(some.images.items[place].file for place in places)
    targets = [some.images.items[place].target for place in places]
    labels = torch.tensor([some.index[one] for one in targets if one is not None]) if some.index else None
    return Read(some.path, some.images.split, files, torch.cat(parts), labels, tuple(errors))


def shared(some: Read, others: Read) -> int:
    """How many of the others are among some, pixel by pixel."""
    known = set(data.content_keys(some.pixels))
    return sum(key in known for key in data.content_keys(others.pixels))


def opened(paths: Sequence[str], split: str | None, class_level: int) -> ImageSet:
    """A data set where one folder or zip is named, else the pictures."""
    first = paths[0]
    if len(paths) == 1 and first == "digits" and not Path(first).exists():
        return data.builtin("digits", split=split or "test")
    if len(paths) == 1 and (Path(first).is_dir() or first.lower().endswith(".zip")):
        return data.open_images(first, split=split, class_level=class_level)
    if split:
        raise ValueError(f"split was given, but pictures named one by one have none: {first}")
    return data.gather(list(paths))
