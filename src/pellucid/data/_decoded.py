"""Decoded pictures kept for the next time, in the user's cache folder: decoding fifty thousand takes ten seconds.

A file is named by everything its bytes depend on: the pictures' names, sizes and times of change, the frame they are
brought to and the decoder's version.
"""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

import PIL
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pellucid.geometry import Geometry

from .image_set import ImageSet
from .sources import Folder, Zip

LEAST = 5_000
"""Fewer pictures are decoded in a second or two: not worth a file."""

MOST_BYTES = 4 * 2**30
"""What all files together may take; the oldest go first."""


def cached_file(images: ImageSet, geometry: Geometry) -> Path | None:
    """Where the decoded pictures of a set are kept; None where they are not worth it or lie in memory anyway."""
    bytes_needed = len(images) * geometry.channels * geometry.size[0] * geometry.size[1]
    sources_are_files = all(isinstance(source, (Folder, Zip)) for source in images.sources)
    if len(images) < LEAST or bytes_needed > MOST_BYTES // 2 or not sources_are_files:
        return None
    told = hashlib.sha256(json.dumps([1, PIL.__version__, repr(geometry)]).encode())
    for source in images.sources:
        assert isinstance(source, (Folder, Zip))
        told.update(_stamp(source.path))
    for item in images.items:
        source = images.sources[item.source]
        told.update(f"{item.source} {item.name}\0".encode(errors="backslashreplace"))
        if isinstance(source, Folder):
            told.update(_stamp(source.path / item.name))
    return cache_folder() / "pixels" / f"{told.hexdigest()[:32]}.safetensors"


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pellucid")


def load(file: Path, shape: tuple[int, ...]) -> Tensor | None:
    """The pictures (N, C, H, W), uint8, of a file; None where there is none, or no whole one."""
    try:
        pixels = load_file(file)["pixels"]
    except (OSError, SafetensorError, KeyError):  # never written, or damaged: they are decoded again
        return None
    return pixels if pixels.shape == shape and pixels.dtype == torch.uint8 else None


def keep(file: Path, pixels: Tensor) -> None:
    """Write a file that only its owner can read, whole or not at all; a full disk costs the next run its time only."""
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_file({"pixels": pixels}, part)
        part.chmod(0o600)
        part.replace(file)
        _drop_the_oldest(file)
    except (OSError, SafetensorError):  # the pictures are in memory already, and can be decoded again
        with suppress(OSError):
            part.unlink()


def _drop_the_oldest(newest: Path) -> None:
    files = sorted(newest.parent.glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > MOST_BYTES and file != newest:
            file.unlink(missing_ok=True)


def _stamp(path: Path) -> bytes:
    """What changes when a file does."""
    try:
        status = path.stat()
    except OSError:
        return b"missing"
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}\0".encode(errors="backslashreplace")
