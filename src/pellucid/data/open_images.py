"""A path in, an image set out: the layout is found by looking, never guessed in silence."""

from dataclasses import replace
from pathlib import Path

from pellucid.checks import check_range, near

from ._coco import coco
from ._idx import idx, idx_files
from ._labels_csv import labels_csv
from ._layout import SPLITS, Layout
from ._tree import tree
from .image_set import ImageSet
from .sources import Folder, Zip


def open_images(path: str | Path, *, split: str | None = None, class_level: int = 1) -> ImageSet:
    """Open a set of pictures; nothing is decoded yet.

    Known layouts, of a folder or a zip: class folders; train, val and test folders of class folders; a folder of
    zips, each a split of that name;
    labels.csv beside the pictures or an images.zip; COCO's annotations.json likewise; MNIST's idx files;
    pictures lying flat (a set without labels).

    Args:
        path: a folder or a zip file.
        split: train, val, test, another split the set names, or all; None takes test, else val, else train.
        class_level: how many folder names make a class: 1 for `cat/a.jpg`, 2 for `Greek/alpha/a.png`.

    Returns:
        The set, with what was left out and why in `errors`.

    Raises:
        ValueError: nothing there, no pictures, an unknown split, or a broken table or archive.
    """
    check_range("class_level", class_level, 1)
    place = Path(path)
    if not place.exists():
        beside = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        raise ValueError(f"{path}: no such file or folder{near(place.name, beside)}")
    if place.is_dir():
        layout = _folder(place, class_level)
    elif place.suffix.lower() == ".zip":
        layout = tree(Zip(place), class_level=class_level)
    else:
        raise ValueError(f"{path}: must be a folder or a .zip of pictures")
    if not layout.found:
        raise ValueError(f"{path}: no pictures found{_reasons(layout)}")
    chosen = _choose(layout, split, path)
    return ImageSet(
        path=str(path),
        labels=layout.labels(),
        items=layout.items(chosen),
        sources=layout.sources,
        errors=layout.errors,
        split=chosen,
        splits=layout.splits,
    )


def _folder(place: Path, class_level: int) -> Layout:
    try:
        names = sorted(path.name for path in place.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ValueError(f"{place}: {error.strerror}") from error
    if "labels.csv" in names:
        return labels_csv(place)
    if "annotations.json" in names:
        return coco(place)
    if idx_files(place):
        return idx(place)
    zips = [name for name in names if name.lower().endswith(".zip")]
    plain = tree(Folder(place), class_level=class_level)
    if plain.found or not zips:
        return plain
    if len(zips) == 1 and Path(zips[0]).stem.lower() not in SPLITS:
        return tree(Zip(place / zips[0]), class_level=class_level)
    splits = {SPLITS.get(Path(name).stem.lower(), Path(name).stem): name for name in zips}
    return _join(
        [tree(Zip(place / zips), class_level=class_level, split=s, place=i) for i, (s, zips) in enumerate(splits.items())]
    )


def _join(layouts: list[Layout]) -> Layout:
    """Layouts of several archives as one, each archive a split; files are told apart by it."""
    found = tuple(replace(one, file=f"{one.split}/{one.file}") for layout in layouts for one in layout.found)
    errors = tuple(error for layout in layouts for error in layout.errors)
    return Layout(found, tuple(source for layout in layouts for source in layout.sources), errors)


def _choose(layout: Layout, split: str | None, path: str | Path) -> str:
    if split is None:
        return next((name for name in ("test", "val", "train") if name in layout.splits), (*layout.splits, "")[0])
    wanted = SPLITS.get(split.lower(), split)
    if not layout.splits:
        raise ValueError(f"{path}: has no splits, got split {split!r}")
    if wanted != "all" and wanted not in layout.splits:
        raise ValueError(f"{path}: split must be one of {', '.join(layout.splits)}, all; got {split!r}")
    return wanted


def _reasons(layout: Layout) -> str:
    told = [f"{error.file}: {error.reason}" for error in layout.errors[:3]]
    return f" ({'; '.join(told)})" if told else ""
