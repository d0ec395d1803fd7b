"""What an attack leaves besides the images, as files: whatever it is, read off its own fields."""

import math
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from torch import Tensor

from pellucid.files import write_json

LISTED = 64
"""Numbers of a tensor that are written out in made.json; a larger one becomes a .npy beside it."""


def write_made(folder: Path, made: Any, pictures: Sequence[str], size: tuple[int, int]) -> None:
    """Write `trace.made`, one thing or one for each image, into made.json and what it names in made/.

    A thing that has `json()` says itself what is written, one that has `svg(height, width)` is drawn, and one that has
    `save(path)` writes its own file and adds the suffix; of any other dataclass every field is written.
    """
    if made is None:
        return
    every: Sequence[Any] = made if isinstance(made, Sequence) else [made]
    (folder / "made").mkdir()
    told = []
    for number, one in enumerate(every):
        stem = PurePath(pictures[number]).stem if len(every) == len(pictures) else f"made-{number}"
        path = folder / "made" / stem
        told.append(one.json() if hasattr(one, "json") else _plain(one, path))
        if hasattr(one, "svg"):
            path.with_name(f"{stem}.svg").write_text(one.svg(*size), encoding="utf-8")
        if hasattr(one, "save"):
            one.save(path)
    write_json(folder / "made.json", told)
    if not any((folder / "made").iterdir()):
        (folder / "made").rmdir()


def _plain(value: Any, path: Path) -> Any:
    """A value as JSON; large tensors as .npy files, by their names."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name), path.with_name(f"{path.name}-{field.name}"))
            for field in fields(value)
        }
    if isinstance(value, Tensor):
        if value.numel() <= LISTED:
            return value.tolist()
        np.save(path.with_name(f"{path.name}.npy"), value.cpu().numpy(), allow_pickle=False)
        return f"made/{path.name}.npy"
    if isinstance(value, (list, tuple)):
        return [_plain(one, path.with_name(f"{path.name}-{number}")) for number, one in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
