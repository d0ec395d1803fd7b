"""What tells whether a picture file is the one it was: a hash of its bytes, taken anew only where its stamp changed."""

import hashlib
import stat
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.data import ImageSet, Unreadable
from pellucid.data.sources import Folder, Source, Zip

SETTLED = 2 * 10**9
"""Nanoseconds after which a file's time of change tells a later change from an earlier: clocks of discs are coarse."""


@dataclass(frozen=True)
class FileKey:
    """A picture's bytes."""

    key: str  # hash of the bytes, 32 hexadecimal digits
    stamp: str  # equal while the file is untouched; "" where nothing short tells that


def file_keys(images: ImageSet, known: Mapping[str, FileKey]) -> list[FileKey | Unreadable]:
    """A key for each picture of a set, or why there is none.

    Args:
        images: the set.
        known: keys by file, as they were found before; believed where the stamp is still the same.
    """
    archives: dict[Path, zipfile.ZipFile] = {}
    found: list[FileKey | Unreadable] = []
    try:
        for item in images.items:
            source, before = images.sources[item.source], known.get(item.file)
            try:
                if isinstance(source, Zip) and source.path not in archives:
                    archives[source.path] = zipfile.ZipFile(source.path)
                found.append(_key(source, item.name, before, archives))
            except (OSError, ValueError, LookupError, RuntimeError, EOFError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                found.append(Unreadable(item.file, reason or type(error).__name__))
            except zipfile.BadZipFile as error:
                found.append(Unreadable(item.file, f"damaged archive member ({error})"))
    finally:
        for archive in archives.values():
            archive.close()
    return found


def _key(source: Source, name: str, before: FileKey | None, archives: Mapping[Path, zipfile.ZipFile]) -> FileKey:
    if isinstance(source, Folder):
        path = source.path / name
        stamp = _stamp(path)
        if before is not None and stamp and stamp == before.stamp:
            return before
        with path.open("rb") as file:
            return FileKey(hashlib.file_digest(file, _digest).hexdigest(), stamp)
    if isinstance(source, Zip):
        member = archives[source.path].getinfo(name)
        stamp = f"{member.CRC:08x}-{member.file_size}"
        if before is not None and stamp == before.stamp:
            return before
        with archives[source.path].open(member) as content:
            digest = _digest()
            while block := content.read(2**20):
                digest.update(block)
        return FileKey(digest.hexdigest(), stamp)
    pixels = np.ascontiguousarray(source.read(name))  # in memory, or of a kind that tells no more
    return FileKey(_digest(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest(), "")


def _digest(content: bytes = b"") -> "hashlib.blake2b":
    return hashlib.blake2b(content, digest_size=16)


def _stamp(path: Path) -> str:
    """Size and times of change; "" while the last change is so young that another might have the same time."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < SETTLED:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
