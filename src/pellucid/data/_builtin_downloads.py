"""Published sets that are looked for on this machine and downloaded as a last resort: cifar10, mnist."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._decoded import cache_folder
from .image_set import ImageSet
from .open_images import open_images

DOWNLOADS = ("cifar10", "mnist")


def builtin_download(name: str, split: str) -> ImageSet:
    """A published set: NAME in the folder that PELLUCID_DATA names, or in the cache, or downloaded there.

    Raises:
        ValueError: it is not here and cannot be downloaded.
    """
    from filelock import FileLock

    given = Path(os.environ.get("PELLUCID_DATA") or os.devnull, name)
    if given.is_dir():
        return open_images(given, split=split)
    cache = cache_folder() / "data" / name
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cache.parent / f"{name}.lock"):  # of several processes, one downloads
            _download(name)(str(cache), download=True)
    except (OSError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[-1].strip()
        raise ValueError(
            f"{name} is not on this machine and could not be downloaded ({reason}): give a folder or zip of it "
            f"in place of the word {name}, or name the folder that holds {name}/ with PELLUCID_DATA"
        ) from error
    return open_images(cache, split=split)


def _download(name: str) -> Callable[..., Any]:
    """What downloads a set into a folder, unless it is there; every file's checksum is compared."""
    from torchvision import datasets

    found: Callable[..., Any] = {"cifar10": datasets.CIFAR10, "mnist": datasets.MNIST}[name]
    return found
