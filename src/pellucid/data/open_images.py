"""A path in, an image set out: the layout is found by looking, never guessed in silence."""

from pathlib import Path

from pellucid.checks import check_range, near

from ._cifar import cifar_binary, cifar_python, is_cifar_binary, is_cifar_python
from ._coco import coco
from ._idx import idx, idx_files
from ._labels_csv import labels_csv
from ._layout import SPLITS, Found, Layout
from ._tree import tree
from .image_set import ImageSet
from .sources import Folder, Zip

PUBLISHED = ((idx_files, idx), (is_cifar_binary, cifar_binary), (is_cifar_python, cifar_python))
"""Whether a folder holds a published set, and how it is read."""


def open_images(path: str | Path, *, split: str | None = None, class_level: int = 1) -> ImageSet:
    """Open a set of pictures; nothing is decoded yet.

    Known layouts, of a folder or a zip: class folders; train, val and test folders of class folders; labels.csv
    beside the pictures or an images.zip; COCO's annotations.json likewise; pictures lying flat (a set without
    labels). Of a folder also: zips, each a split of that name; MNIST's idx files and CIFAR-10's
    binary or Python files, as published or as torchvision keeps them.

    Args:
        path: a folder or a zip file.
        split: train, val, test, another the set names, or all; none takes test, val or train, what has labels first.
        class_level: how many folder names make a class: 1 for `cat/a.jpg`, 2 for `Greek/alpha/a.png`.

    Returns:
        The set, with what was left out and why in `errors`.

    Raises:
        ValueError: nothing there, no pictures, an unknown split, or a broken table or archive.
    """
    check_range("class_level", class_level, 1)
    place = Path(path)
    try:
        layout = _layout(place, class_level)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    if not layout.found:
        raise ValueError(f"{path}: no pictures found{_reasons(layout)}")
    chosen = _choose(layout, split, path)
    return ImageSet(
        path=str(path),
        labels=layout.labels(),
        items=layout.items(chosen),
        sources=layout.sources,
        errors=layout.left_out(chosen),
        split=chosen,
        splits=layout.splits,
    )


def _layout(place: Path, class_level: int) -> Layout:
    if place.is_dir():
        return _folder(place, class_level)
    if place.suffix.lower() == ".zip" and place.is_file():
        return _zip(Zip(place), class_level)
    if place.exists():
        raise ValueError(f"{place}: must be a folder or a .zip of pictures")
    beside = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
    raise ValueError(f"{place}: no such file or folder{near(place.name, beside)}")


def _folder(place: Path, class_level: int) -> Layout:
    names = sorted(path.name for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
    if "labels.csv" in names:
        return labels_csv(Folder(place))
    if "annotations.json" in names:
        return coco(Folder(place))
    published = _published(place)
    if published is not None:
        return published
    zips = [name for name in names if name.lower().endswith(".zip")]
    plain = tree(Folder(place), class_level=class_level)
    if plain.found or not zips:
        return plain
    if len(zips) == 1 and Path(zips[0]).stem.lower() not in SPLITS:
        return _zip(Zip(place / zips[0]), class_level)
    return _zips([place / name for name in zips], class_level)


def _published(place: Path) -> Layout | None:
    """The layout of a set kept as its authors or torchvision keep it: here, or one such set in the folders below."""
    below = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    for folders in ([place], [place / "raw"], below, [path / "raw" for path in below]):
        known = [(folder, read) for folder in folders for is_it, read in PUBLISHED if is_it(folder)]
        if len({folder for folder, _ in known}) > 1:
            names = ", ".join(str(folder.relative_to(place)) for folder, _ in known)
            raise ValueError(f"{place}: holds several sets ({names}): name one of them")
        if known:
            folder, read = known[0]
            return read(folder)
    return None


def _zip(source: Zip, class_level: int) -> Layout:
    """The layout of one zip; a table lies at its top or in a folder there."""
    files = sorted((file for file in source.listing.files if file.count("/") < 2), key=lambda file: file.count("/"))
    for name, read in (("labels.csv", labels_csv), ("annotations.json", coco)):
        table = next((file for file in files if file.rpartition("/")[2] == name), None)
        if table:
            return read(source, table)
    return tree(source, class_level=class_level)


def _zips(paths: list[Path], class_level: int) -> Layout:
    """The layouts of several zips, each a split."""
    splits: dict[str, Path] = {}
    for path in paths:
        split = SPLITS.get(path.stem.lower(), path.stem)
        if split in splits:
            raise ValueError(f"{path.parent}: {splits[split].name} and {path.name} both mean the split {split}")
        splits[split] = path
    every = enumerate(splits.items())
    return _join([tree(Zip(path), class_level=class_level, split=split, place=place) for place, (split, path) in every])


def _join(layouts: list[Layout]) -> Layout:
    """Layouts of several archives as one, each archive a split; files are told apart by it."""
    found = tuple(
        Found(f"{one.split}/{one.file}", one.name, one.label, one.split, one.source, one.details)
        for layout in layouts
        for one in layout.found
    )
    errors = tuple(error for layout in layouts for error in layout.errors)
    return Layout(found, tuple(source for layout in layouts for source in layout.sources), errors)


def _choose(layout: Layout, split: str | None, path: str | Path) -> str:
    if split is None:
        order = (*(name for name in ("test", "val", "train") if name in layout.splits), *layout.splits, "")
        labelled = {one.split for one in layout.found if one.label is not None}
        return next((name for name in order if name in labelled and name), order[0])
    wanted = SPLITS.get(split.lower(), split.lower())
    if wanted == "all":
        return wanted if layout.splits else ""
    if not layout.splits:
        raise ValueError(f"{path}: has no splits, got split {split!r}")
    met = next((name for name in layout.splits if name.lower() == wanted), None)
    if met is None:
        raise ValueError(f"{path}: split must be one of {', '.join(layout.splits)}, all; got {split!r}")
    return met


def _reasons(layout: Layout) -> str:
    told = [f"{error.file}: {error.reason}" for error in layout.errors[:3]]
    return f" ({'; '.join(told)})" if told else ""
