"""Layout: annotations.json in COCO's form beside the picture files or an images.zip.

An image whose boxes are all of one category has that category as its class; any other has none.
"""

import json
from collections import defaultdict
from pathlib import Path

from ._layout import SPLITS, Found, Layout, unreadable
from .image_set import ClassLabel
from .sources import Folder, Zip


def coco(folder: Path) -> Layout:
    """Read annotations.json: images, categories, boxes; `split` of an image where it has one."""
    table = folder / "annotations.json"
    try:
        content = json.loads(table.read_text(encoding="utf-8"))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        boxes = defaultdict(set)
        for box in content["annotations"]:
            boxes[box["image_id"]].add(names[box["category_id"]])
        images = [(one["id"], str(one["file_name"]), str(one.get("split", ""))) for one in content["images"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{table}: not annotations in COCO's form ({type(error).__name__}: {error})") from error
    archive = folder / "images.zip"
    source: Folder | Zip = Zip(archive) if archive.is_file() else Folder(folder)
    there = set(source.listing.files)
    found, errors = [], []
    for key, file, split in images:
        name = next((name for name in (file, f"images/{file}") if name in there), None)
        if name is None:
            errors.append((file, "listed in annotations.json, but not there"))
            continue
        label = ClassLabel(name=next(iter(boxes[key]))) if len(boxes[key]) == 1 else None
        found.append(Found(file, name, label, SPLITS.get(split, split)))
    return Layout(tuple(found), (source,), unreadable(errors))
