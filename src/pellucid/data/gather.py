"""Pictures named one by one: files, folders, zips and patterns become one set without labels."""

from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

from pellucid.checks import near

from ._layout import is_picture, unreadable
from .image_set import ImageSet, Item, Unreadable
from .sources import Folder, Source, Zip


def gather(paths: Sequence[str | Path]) -> ImageSet:
    """A set of the named pictures, in the order given; nothing is decoded yet.

    Args:
        paths: picture files, folders and zips (every picture in them), or patterns such as `holiday/*.jpg`.

    Raises:
        ValueError: a path does not exist, a pattern matches nothing, or there is no picture at all.
    """
    items: list[Item] = []
    sources: list[Source] = []
    errors: list[Unreadable] = []
    for place in dict.fromkeys(place for path in paths for place in _expanded(str(path))):
        if place.is_dir() or place.suffix.lower() == ".zip":
            source = Folder(place) if place.is_dir() else Zip(place)
            names = [name for name in source.listing.files if is_picture(name)]
            items += [Item(f"{place}/{name}", None, name, len(sources)) for name in names]
            errors += unreadable((f"{place}/{name}", reason) for name, reason in source.listing.refused)
            sources.append(source)
        else:
            items.append(Item(str(place), None, place.name, len(sources)))
            sources.append(Folder(place.parent))
    if not items:
        raise ValueError(f"no pictures under {', '.join(map(str, paths))}")
    return ImageSet(", ".join(map(str, paths)), (), tuple(items), tuple(sources), tuple(errors))


def _expanded(path: str) -> list[Path]:
    """A path, or what a pattern matches."""
    place = Path(path)
    try:
        if place.exists():
            return [place]
        found = sorted(glob(path, recursive=True)) if has_magic(path) else None  # noqa: PTH207  also absolute patterns
    except OSError as error:
        raise ValueError(f"{path[:80]}: {error.strerror}") from error
    if found == []:
        raise ValueError(f"{path}: matches no file")
    if found:
        return [Path(name) for name in found]
    beside = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
    raise ValueError(f"{path}: no such file or folder{near(place.name, beside)}")
