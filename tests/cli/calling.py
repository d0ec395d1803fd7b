"""The command line in process: what it was told, what it said."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

CLASSES = ("tench, Tinca tinca", "goldfish", "great white shark", "tiger shark", "stingray", "cock")


@dataclass(frozen=True)
class Said:
    """The outcome of one command."""

    code: int
    out: str
    err: str


Call: TypeAlias = Callable[..., Said]


def png(seed: int, side: int = 8) -> bytes:
    """A gray picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def pictures(folder: Path, *names: str) -> Path:
    """Pictures of those names; the i-th is noise of seed i."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(seed))
    return folder


def zipped(path: Path, *names: str) -> Path:
    """The same in a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed, name in enumerate(names):
            archive.writestr(name, png(seed))
    return path


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: bytes of files, None for folders."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
