"""Which output of a model each class of a set is: by key (wnid), by name, or by number, never by alphabetical rank."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pellucid.checks import near
from pellucid.class_names import ClassTable

from .image_set import ClassLabel, ImageSet


def match_classes(
    images: ImageSet,
    classes: Sequence[str],
    class_ids: Sequence[str] = (),
    class_map: Mapping[str, str | int] | None = None,
) -> Tensor:
    """The model's class index for each class of a set.

    A class is matched by its wnid where the model has class_ids, else by name (any synonym; case, spaces,
    hyphens and underscores do not matter), else by number. Numbers that come with names count only if the
    model knows at least half of the names, and at least half of those carry the model's own number.

    Args:
        images: the set; only classes that have a picture need to match.
        classes: the model's K class names, in output order.
        class_ids: the model's K class keys, or none.
        class_map: the user's own table, class of the set -> name, key or number of the model's class.

    Returns:
        (len(images.labels),), int64; -1 for a class without pictures.

    Raises:
        ValueError: a class does not match, names the first ten.
    """
    used = sorted({item.target for item in images.items if item.target is not None})
    table = ClassTable(classes, class_ids)
    numbers_agree = _numbers_agree([images.labels[target] for target in used], table)
    found = torch.full((len(images.labels),), -1, dtype=torch.int64)
    missing = []
    for target in used:
        label = images.labels[target]
        index = _mapped(label, class_map, table) if class_map else None
        index = _found(label, table, by_number=numbers_agree) if index is None else index
        if index is None:
            missing.append(label)
        else:
            found[target] = index
    if missing:
        first = ", ".join(repr(str(label)) for label in missing[:10])
        hint = near(str(missing[0]), classes)
        raise ValueError(
            f"{len(missing)} of {len(used)} classes are not among the model's {len(classes)}: {first}"
            f"{' and more' if len(missing) > 10 else ''}{hint or ';'} match them with --class-map FILE "
            "(CSV or JSON: class of the set, class of the model)"
        )
    return found


def read_class_map(path: str | Path) -> dict[str, str | int]:
    """Read a class map: a JSON object, or a CSV of two columns (class of the set, class of the model)."""
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as text ({error})") from error
    if place.suffix.lower() == ".json":
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not JSON ({error})") from error
        if not isinstance(table, dict) or not all(isinstance(value, str | int) for value in table.values()):
            raise ValueError(f"{path}: must be a JSON object of class of the set -> class of the model")
        return table
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table ({error})") from error
    wrong = next((number for number, row in enumerate(rows, start=1) if len(row) != 2), None)
    if wrong is not None or not rows:
        raise ValueError(f"{path}: line {wrong or 1}: must have two columns, class of the set and class of the model")
    return {key.strip(): value.strip() for key, value in rows}


def _found(label: ClassLabel, table: ClassTable, *, by_number: bool) -> int | None:
    """A label's class by the first way that leads to one: key, name, number."""
    if label.id and label.id in table.ids:
        return table.ids[label.id]
    named = table.by_name(label.name) if label.name else None
    if named is None and by_number and label.index is not None and label.index < len(table.classes):
        return label.index
    return named


def _numbers_agree(labels: list[ClassLabel], table: ClassTable) -> bool:
    """Whether the set's own numbers are the model's: no names beside them, or names that mostly say the same."""
    if all(not label.name or label.name == str(label.index) for label in labels):
        return True
    known = [(label.index, table.by_name(label.name)) for label in labels]
    same = [number == index for number, index in known if index is not None]
    return len(same) * 2 >= len(labels) and sum(same) * 2 >= len(same)


def _mapped(label: ClassLabel, class_map: Mapping[str, str | int], table: ClassTable) -> int | None:
    keys = (label.name, label.id, "" if label.index is None else str(label.index))
    wanted = next((class_map[key] for key in keys if key and key in class_map), None)
    if wanted is None:
        return None
    word = str(wanted)
    index = table.find(word)
    if index is None:
        raise ValueError(f"class map: {word!r} (for {label}) is not a class of the model{near(word, table.names)}")
    return index
