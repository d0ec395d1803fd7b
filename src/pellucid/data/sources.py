"""Where picture files lie: a folder, a zip, or an array; listed without opening, read one at a time, never unpacked."""

import os
import stat
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from pellucid.geometry import Geometry

from .pictures import MAX_BYTES, decode

HIDDEN = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


class Source(Protocol):
    """Anything that holds pictures under names."""

    def read(self, name: str, geometry: Geometry | None = None) -> Image.Image:
        """The picture of that name, mode L or RGB; ValueError with the reason when it cannot be read."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder or zip, by relative POSIX path, sorted."""

    files: tuple[str, ...]
    folders: tuple[str, ...]  # all folders, also the empty ones
    refused: tuple[tuple[str, str], ...]  # (path, reason): links that leave the folder and the like


@dataclass(frozen=True)
class Folder:
    """A folder on disk."""

    root: Path

    @cached_property
    def listing(self) -> Listing:
        """Every file below the root; links to folders are not followed, links to files only inside the root."""
        files, folders, refused = [], [], []
        root = self.root.resolve()

        def failed(error: OSError) -> None:
            refused.append((str(error.filename), error.strerror or "cannot be listed"))

        for place, below, names in os.walk(root, onerror=failed):
            here = Path(place)
            below[:] = sorted(name for name in below if not _is_hidden(name))
            for name in list(below):
                path = (here / name).relative_to(root).as_posix()
                if (here / name).is_symlink():
                    below.remove(name)
                    refused.append((path, "is a link to a folder; not followed"))
                else:
                    folders.append(path)
            for name in names:
                if _is_hidden(name):
                    continue
                path = (here / name).relative_to(root).as_posix()
                reason = _refusal(here / name, root)
                if reason:
                    refused.append((path, reason))
                else:
                    files.append(path)
        return Listing(tuple(sorted(files)), tuple(sorted(folders)), tuple(refused))

    def read(self, name: str, geometry: Geometry | None = None) -> Image.Image:
        """See Source."""
        try:
            with (self.root / name).open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAX_BYTES:
                    raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
                return decode(file, geometry)
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from error


@dataclass(frozen=True)
class Zip:
    """A zip archive; its members are read in place."""

    path: Path
    _open: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def listing(self) -> Listing:
        """Every member; absolute names, names with '..', links and encrypted members are refused."""
        files, folders, refused = [], set[str](), []
        for member in self._archive().infolist():
            name = member.filename.rstrip("/")
            parts = name.split("/")
            if any(_is_hidden(part) for part in parts if part not in {".", ".."}):
                continue
            if member.is_dir():
                folders.add(name)
            elif name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
                refused.append((name, "its name leaves the archive"))
            elif stat.S_ISLNK(member.external_attr >> 16):
                refused.append((name, "is a link"))
            elif member.flag_bits & 1:
                refused.append((name, "is encrypted"))
            else:
                files.append(name)
                folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return Listing(tuple(sorted(set(files))), tuple(sorted(folders)), tuple(refused))

    def read(self, name: str, geometry: Geometry | None = None) -> Image.Image:
        """See Source."""
        try:
            archive = self._archive()
            if archive.getinfo(name).file_size > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES // 2**20} MiB")
            with archive.open(name) as member:
                return decode(member.read(MAX_BYTES + 1), geometry)
        except (OSError, zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise ValueError(f"damaged archive member ({error})") from error

    def bytes(self, name: str, limit: int) -> bytes:
        """The first limit bytes of a member."""
        with self._archive().open(name) as member:
            return member.read(limit)

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__dict__.update(state, _open={})

    def _archive(self) -> zipfile.ZipFile:
        """One handle for each process: a forked worker must not share its parent's file position."""
        process = os.getpid()
        if process not in self._open:
            try:
                self._open[process] = zipfile.ZipFile(self.path)
            except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
                raise ValueError(f"{self.path}: not a readable zip archive ({error})") from error
        return self._open[process]


@dataclass(frozen=True)
class Array:
    """Pictures held in memory, named by their position."""

    pixels: "np.ndarray"  # (N, H, W) or (N, H, W, 3), uint8

    def read(self, name: str, geometry: Geometry | None = None) -> Image.Image:  # noqa: ARG002  the size is fixed
        """See Source."""
        return Image.fromarray(self.pixels[int(name)])


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN


def _refusal(path: Path, root: Path) -> str:
    if path.is_symlink():
        target = path.resolve()
        if not target.exists():
            return "is a link to nothing"
        if not target.is_relative_to(root):
            return "is a link that leaves the folder"
    return "" if path.is_file() else "is not a regular file"
