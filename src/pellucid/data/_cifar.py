"""Layout: CIFAR-10 as published, its binary files or its Python ones (A. Krizhevsky, 2009).

https://www.cs.toronto.edu/~kriz/cifar.html
The Python files are pickles, which run what is in them: they are opened only when each is the published one, by its
checksum.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ._layout import Found, Layout
from ._regular import regular_file
from .image_set import ClassLabel
from .sources import Array

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32
"""Bytes of a picture in a binary file: its class, then red, green and blue row by row."""

MAX_BYTES = 2**30
PARTS = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}


def is_cifar_binary(folder: Path) -> bool:
    """Whether a folder holds binary files of CIFAR-10."""
    return any((folder / f"{stem}.bin").is_file() for stems in PARTS.values() for stem in stems)


def is_cifar_python(folder: Path) -> bool:
    """Whether a folder holds Python files of CIFAR-10."""
    return (folder / "batches.meta").is_file() and (folder / "test_batch").is_file()


def cifar_binary(folder: Path) -> Layout:
    """Read every split into memory; a split has the files that are there."""
    read = {}
    for split, stems in PARTS.items():
        paths = [folder / f"{stem}.bin" for stem in stems]
        parts = [_records(path) for path in paths if path.is_file()]
        if parts:
            records = np.concatenate(parts)  # (N, 3073)
            read[split] = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].tolist()
    return _layout(read)


def cifar_python(folder: Path) -> Layout:
    """Read every split into memory through torchvision, which compares each file with its published checksum first."""
    from torchvision.datasets import CIFAR10

    here: Any = type("Here", (CIFAR10,), {"base_folder": folder.name})
    try:
        sets = {split: here(folder.resolve().parent, train=split == "train", download=False) for split in PARTS}
    except RuntimeError as error:
        raise ValueError(
            f"{folder}: its files are Python pickles and not all are the published ones, so they are not opened; "
            "take the binary version (cifar-10-batches-bin) or a folder of images"
        ) from error
    return _layout({split: (one.data, one.targets) for split, one in sets.items()})


def _records(path: Path) -> "np.ndarray":
    """(N, 3073), uint8."""
    try:
        with regular_file(path, MAX_BYTES) as file:
            content = np.frombuffer(file.read(MAX_BYTES), dtype=np.uint8)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if len(content) == 0 or len(content) % RECORD:
        raise ValueError(f"{path}: must hold whole pictures of {RECORD:,} bytes, got {len(content):,} bytes")
    records = content.reshape(-1, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise ValueError(f"{path}: classes must be in [0, 9], got {records[:, 0].max()}")
    return records


def _layout(read: dict[str, tuple["np.ndarray", list[int]]]) -> Layout:
    """Pictures (N, 32, 32, 3) and class numbers of each split."""
    labels = [ClassLabel(name, index=number) for number, name in enumerate(CLASSES)]
    found = [
        Found(f"{split}/{position:05d}", str(position), labels[number], split, place)
        for place, (split, (_, numbers)) in enumerate(read.items())
        for position, number in enumerate(numbers)
    ]
    return Layout(tuple(found), tuple(Array(np.ascontiguousarray(pixels)) for pixels, _ in read.values()))
