"""Layout: MNIST's idx files, plain or gzipped (LeCun, Cortes and Burges)."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from ._layout import Found, Layout
from .image_set import ClassLabel
from .sources import Array

PREFIXES = {"train": "train", "t10k": "test", "test": "test"}
MAX_PIXELS = 2**31


def idx_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """(images, labels) by split, for every pair in the folder."""
    found = {}
    for prefix, split in PREFIXES.items():
        paths = []
        for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
            paths += [p for p in (folder / stem, folder / f"{stem}.gz") if p.is_file()][:1]
        if len(paths) == 2:
            found[split] = (paths[0], paths[1])
    return found


def idx(folder: Path) -> Layout:
    """Read every split into memory; the classes are the numbers that occur."""
    found: list[Found] = []
    sources = []
    for place, (split, (images, labels)) in enumerate(idx_files(folder).items()):
        pixels, numbers = _read(images, 3), _read(labels, 1)
        if len(pixels) != len(numbers):
            raise ValueError(f"{images} holds {len(pixels)} images, but {labels} {len(numbers)} labels")
        sources.append(Array(pixels))
        for position, number in enumerate(numbers.tolist()):
            label = ClassLabel(str(number), index=number)
            found.append(Found(f"{split}/{position:05d}", str(position), label, split, place))
    return Layout(tuple(found), tuple(sources))


def _read(path: Path, dimensions: int) -> "np.ndarray":
    """An array of uint8 of that many dimensions."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic, *shape = struct.unpack(f">{dimensions + 1}I", file.read(4 * (dimensions + 1)))
            count = int(np.prod(shape, dtype=object))
            if magic != 0x800 + dimensions or count > MAX_PIXELS or 0 in shape[1:]:
                raise ValueError(f"{path}: not an idx file of bytes with {dimensions} dimensions")
            content = file.read(count)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise ValueError(f"{path}: not a readable idx file ({error})") from error
    if len(content) != count:
        raise ValueError(f"{path}: cut short, {len(content):,} of {count:,} bytes")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
