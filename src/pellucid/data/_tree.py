"""Layouts told by folder names alone: class folders, splits of class folders, or just pictures."""

from collections.abc import Iterable
from dataclasses import replace

from ._layout import SPLITS, Found, Layout, LeftOut, is_picture
from .image_set import ClassLabel
from .sources import Folder, Zip

BESIDE_IMAGES = frozenset({"mask", "masks", "label", "labels", "annot", "annots", "annotations"})
"""Folders that, beside one named images, hold no pictures to classify."""


def tree(source: Folder | Zip, *, class_level: int = 1, split: str = "", place: int = 0) -> Layout:
    """Read the layout of a folder or zip off its paths.

    Args:
        source: what to look through.
        class_level: how many folder names make a class: 1 for `cat/a.jpg`, 2 for `Greek/alpha/a.png`.
        split: the split all of it belongs to, when the caller knows; "" looks for split folders.
        place: position of the source among the set's sources.
    """
    listing = source.listing
    pictures = [file for file in listing.files if is_picture(file)]
    skip = _common(pictures, class_level + 1)
    below = {file: file.split("/")[skip:] for file in pictures}
    tops = {parts[0] for parts in below.values() if len(parts) > 1}
    errors = [LeftOut(file, reason) for file, reason in listing.refused]
    has_splits = not split and _are_splits(tops)
    if not split and not has_splits:
        _refuse_a_mix(source, below, class_level)
    if has_splits:
        found = _splits(below, class_level, place)
        errors += [LeftOut(file, "lies outside every split folder") for file in below if len(below[file]) == 1]
    elif "images" in tops and tops <= {"images"} | BESIDE_IMAGES:
        inside = {file: parts[1:] for file, parts in below.items() if parts[0] == "images"}
        found = _labelled(inside, class_level, split, place)
    else:
        found = _labelled(below, class_level, split, place)
    labelled = {one.split for one in found if one.label}
    strays = [one for one in found if one.label is None and one.split in labelled]
    errors += [LeftOut(one.file, "lies outside every class folder") for one in strays]
    used = {file.rsplit("/", 1)[0] for file in pictures}
    errors += _empty(listing.folders, used, skip)
    errors += [LeftOut(f, "not a picture") for f in listing.files if not is_picture(f) and f.count("/") > skip]
    homes = {one.file: _split_of(one.file, skip) if has_splits else split for one in errors}
    errors = [replace(one, split=homes[one.file]) for one in errors]
    return Layout(tuple(one for one in found if one.label or one.split not in labelled), (source,), tuple(errors))


def _labelled(below: dict[str, list[str]], class_level: int, split: str, place: int) -> list[Found]:
    """Pictures with the class their folders name; none when they lie flat."""
    names = {file: "/".join(parts[:-1][:class_level]) for file, parts in below.items()}
    labels = {name: class_label(name) if name else None for name in {*names.values()}}
    return [Found(file, file, labels[name], split, place) for file, name in names.items()]


def class_label(folder: str) -> ClassLabel:
    """A folder's name as a class: a number also counts as an index, n01440764 and the like as a wnid."""
    is_wnid = len(folder) == 9 and folder[0] == "n" and folder[1:].isdecimal()
    index = int(folder) if folder.isdecimal() and folder.isascii() and len(folder) < 10 else None
    return ClassLabel(name="" if is_wnid else folder, id=folder if is_wnid else "", index=index)


def _splits(below: dict[str, list[str]], class_level: int, place: int) -> list[Found]:
    found = []
    for top in sorted({parts[0] for parts in below.values() if len(parts) > 1 and parts[0].lower() in SPLITS}):
        inside = {file: parts[1:] for file, parts in below.items() if parts[0] == top}
        found += _labelled(inside, class_level, SPLITS[top.lower()], place)
    return found


def _split_of(file: str, skip: int) -> str:
    """The split in whose folder a path lies, below so many leading folders; "" when in none."""
    return next((SPLITS.get(part.lower(), "") for part in file.split("/")[skip : skip + 1]), "")


def _are_splits(tops: set[str]) -> bool:
    """Every top folder is a split or, like trainannot, goes with one; a class called train stays a class."""
    splits = [top.lower() for top in tops if top.lower() in SPLITS]
    beside = {f"{split}{joint}{word}" for split in splits for joint in ("", "_", "-") for word in BESIDE_IMAGES}
    return bool(splits) and {top.lower() for top in tops} <= beside | set(splits)


def _refuse_a_mix(source: Folder | Zip, below: dict[str, list[str]], class_level: int) -> None:
    """Split folders of class folders beside other folders are no set of classes called train and val."""
    tops = {parts[0] for parts in below.values() if len(parts) > 1}
    splits = {top for top in tops if top.lower() in SPLITS}
    if splits and all(len(parts) > class_level + 1 for parts in below.values() if parts[0] in splits):
        mixed, others = ", ".join(sorted(splits)), ", ".join(sorted(tops - splits))
        raise ValueError(
            f"{source.path}: top folders mix splits ({mixed}) and others ({others}): move the others elsewhere, "
            "or name them train, val or test"
        )


def _common(pictures: list[str], keep: int) -> int:
    """How many leading folders all pictures share, keeping the last levels (class folders, file)."""
    paths = [file.split("/") for file in pictures]
    depth = 0
    while paths and all(len(parts) > depth + keep for parts in paths) and len({parts[depth] for parts in paths}) == 1:
        if paths[0][depth].lower() in SPLITS:
            break
        depth += 1
    return depth


def _empty(folders: Iterable[str], used: set[str], skip: int) -> list[LeftOut]:
    """Folders in which, and below which, no picture lies."""
    filled = {"/".join(path.split("/")[:depth]) for path in used for depth in range(1, path.count("/") + 2)}
    empty = [path for path in folders if path not in filled and path.count("/") >= skip]
    return [LeftOut(f"{path}/", "holds no picture") for path in empty]
