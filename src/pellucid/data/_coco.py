"""Layout: annotations.json in COCO's form beside the picture files or an images.zip, in a folder or a zip.

An image whose boxes are all of one category has that category as its class; any other has none.
"""

import json
from collections import defaultdict

from ._layout import SPLITS, Found, Layout, LeftOut, pictures_of
from .image_set import ClassLabel
from .sources import Folder, Zip


def coco(home: Folder | Zip, member: str = "annotations.json") -> Layout:
    """Read annotations.json: images, categories, boxes; `split` of an image where it has one."""
    table = home.path / member
    try:
        content = json.loads(home.text(member))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        boxes = defaultdict(set)
        for box in content["annotations"]:
            boxes[box["image_id"]].add(names[box["category_id"]])
        images = [
            (boxes.get(one["id"], set()), str(one["file_name"]), str(one.get("split") or "").strip().lower())
            for one in content["images"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{table}: not annotations in COCO's form ({type(error).__name__}: {error})") from error
    source, find = pictures_of(home, member)
    found, errors, seen = [], [], set[str]()
    for categories, file, split in images:
        name, missing = find(file)
        if name is None or name in seen:
            reason = f"listed {'twice in' if name else 'in'} annotations.json{missing}"
            errors.append(LeftOut(file, reason, SPLITS.get(split, split)))
            continue
        seen.add(name)
        label = ClassLabel(name=next(iter(categories))) if len(categories) == 1 else None
        found.append(Found(file, name, label, SPLITS.get(split, split)))
    return Layout(tuple(found), (source,), tuple(errors))
