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

from ._regular import regular_file
from .pictures import MAX_BYTES, decode

HIDDEN = frozenset({"thumbs.db", "desktop.ini", "__macosx"})

MAX_TABLE = 256 * 2**20
"""A longer table (labels.csv, annotations.json) is refused unread."""


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

    path: Path

    @cached_property
    def listing(self) -> Listing:
        """Every file below the root; links to folders are not followed, links to files only inside the root."""
        files, folders, refused = [], [], []
        root = self.path.resolve()

        def failed(error: OSError) -> None:
            refused.append((os.path.relpath(error.filename, root), error.strerror or "cannot be listed"))

        for place, below, names in os.walk(root, onerror=failed):
            entered = []
            for name in sorted(name for name in (*below, *names) if not _is_hidden(name)):
                path = Path(place, name).relative_to(root).as_posix()
                reason = _refusal(root / path, root)
                if reason:
                    refused.append((path.encode(errors="backslashreplace").decode(), reason))
                elif (root / path).is_dir():
                    folders.append(path)
                    entered.append(name)
                else:
                    files.append(path)
            below[:] = entered
        return Listing(tuple(sorted(files)), tuple(sorted(folders)), tuple(refused))

    def read(self, name: str, geometry: Geometry | None = None) -> Image.Image:
        """See Source."""
        with regular_file(self.path / name, MAX_BYTES) as file:
            return decode(file, geometry)

    def text(self, name: str) -> str:
        """A table, without a byte order mark; ValueError with the reason."""
        with regular_file(self.path / name, MAX_TABLE) as file:
            return _text(file.read(MAX_TABLE))


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
            if name.startswith("/") or "\\" in name or ".." in parts or ":" in parts[0]:
                refused.append((name, "its name leaves the archive"))
            elif member.is_dir():
                folders.add(name)
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
        return decode(self._bytes(name, MAX_BYTES), geometry)

    def text(self, name: str) -> str:
        """See Folder."""
        return _text(self._bytes(name, MAX_TABLE))

    def _bytes(self, name: str, limit: int) -> bytes:
        archive = self._archive()
        try:
            too_long = archive.getinfo(name).file_size > limit
            content = b"" if too_long else archive.read(name)
        except Exception as error:  # zipfile and its codecs raise nearly anything on hostile bytes
            raise ValueError(f"damaged archive member ({str(error) or type(error).__name__})") from error
        if too_long:
            raise ValueError(f"larger than {limit // 2**20} MiB")
        return content

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
            except Exception as error:  # as for a member
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
    """Why a file or folder must not be read; "" when it may."""
    try:
        str(path.relative_to(root)).encode()
        if path.is_symlink():
            target = path.resolve(strict=True)
            if target.is_dir():
                return "is a link to a folder; not followed"
            if not target.is_relative_to(root):
                return "is a link that leaves the folder"
        return "" if path.is_file() or path.is_dir() else "is not a regular file"
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except (FileNotFoundError, RuntimeError):  # RuntimeError: a loop of links, in Python before 3.13
        return "is a link to nothing"
    except OSError as error:
        return error.strerror or "cannot be read"


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{error.reason} at byte {error.start}") from error
