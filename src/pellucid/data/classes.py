"""Which output of a model each class of a set is: by key (wnid), by name, or by number, never by alphabetical rank."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid.checks import near
from pellucid.class_names import ClassTable

from .image_set import ClassLabel, ImageSet


@dataclass(frozen=True)
class ClassMatch:
    """A class of a set, and the model's class it is."""

    label: str  # the set's word for it
    index: int  # of the model's class, in [0, K)
    by: str  # what it was matched by: map, key, name or number
    target: int  # position in the set's labels


def match_classes(
    images: ImageSet,
    classes: Sequence[str],
    class_ids: Sequence[str] = (),
    class_map: Mapping[str, str | int] | None = None,
) -> Tensor:
    """The model's class index for each class of a set; `class_matches` tells what each was matched by.

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
    found = torch.full((len(images.labels),), -1, dtype=torch.int64)
    for match in class_matches(images, classes, class_ids, class_map):
        found[match.target] = match.index
    return found


def class_matches(
    images: ImageSet,
    classes: Sequence[str],
    class_ids: Sequence[str] = (),
    class_map: Mapping[str, str | int] | None = None,
) -> list[ClassMatch]:
    """How each class of a set that has a picture is matched to the model's.

    A class is matched by the class map, else by its key (wnid), else by its name (any synonym; the exact
    spelling goes before another case, spaces, hyphens and underscores). The set's own numbers count in two cases:
    the set has nothing but numbers (then all go by number, or all by name where the model's names are numbers
    too); or every key and name the model knows agrees with the number beside it, and at least half are known.

    Args:
        images: the set.
        classes: the model's K class names, in output order.
        class_ids: the model's K class keys, or none.
        class_map: the user's own table, class of the set -> name, key or number of the model's class.

    Returns:
        One match for each class in use, in the order of the set's labels.

    Raises:
        ValueError: a class does not match, names the first ten.
    """
    used = sorted({item.target for item in images.items if item.target is not None})
    labels = [images.labels[target] for target in used]
    matches = _matches(labels, ClassTable(classes, class_ids), class_map or {})
    missing = [label for label, match in zip(labels, matches, strict=True) if match is None]
    if missing:
        first = ", ".join(repr(str(label)) for label in missing[:10])
        hint = near(str(missing[0]), classes)
        raise ValueError(
            f"{len(missing)} of {len(labels)} classes are not among the model's {len(classes)}: {first}"
            f"{' and more' if len(missing) > 10 else ''}{hint or ';'} match them with --class-map FILE "
            "(CSV or JSON: class of the set, class of the model)"
        )
    told = zip(labels, matches, used, strict=True)
    return [ClassMatch(str(label), *match, target) for label, match, target in told if match is not None]


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


def _matches(
    labels: list[ClassLabel], table: ClassTable, class_map: Mapping[str, str | int]
) -> list[tuple[int, str] | None]:
    """Each label's class and what it was matched by; None where there is none."""
    mapped = [_mapped(label, class_map, table) for label in labels]
    rest = [label for label, index in zip(labels, mapped, strict=True) if index is None]
    only_numbers = all(_is_only_number(label) for label in rest)
    if only_numbers:
        names_count = all(table.by_name(label.name) is not None for label in rest)
        numbers_count = not names_count
    else:
        names_count, numbers_count = True, _numbers_agree(labels, mapped, table)
    matches: list[tuple[int, str] | None] = []
    for label, chosen in zip(labels, mapped, strict=True):
        ways = (
            ("map", chosen),
            ("key", table.ids.get(label.id) if label.id else None),
            ("name", table.by_name(label.name) if label.name and names_count else None),
            ("number", _number(label, table) if numbers_count else None),
        )
        matches.append(next(((index, by) for by, index in ways if index is not None), None))
    return matches


def _is_only_number(label: ClassLabel) -> bool:
    """Whether a label has neither a key nor a name other than its number: 7, or 007."""
    name = label.name.strip()
    is_number = name.isdecimal() and name.isascii() and len(name) < 10 and int(name) == label.index
    return not label.id and label.index is not None and (not name or is_number)


def _numbers_agree(labels: list[ClassLabel], mapped: list[int | None], table: ClassTable) -> bool:
    """Whether whatever the model knows of the labels agrees with their numbers, for at least half of them."""
    agreeing = 0
    for label, index in zip(labels, mapped, strict=True):
        known = [{index}] if index is not None else _known(label, table)
        if label.index is not None and known:
            if not all(label.index in indices for indices in known):
                return False
            agreeing += 1
    return agreeing * 2 >= len(labels)


def _known(label: ClassLabel, table: ClassTable) -> list[set[int]]:
    """The model's classes with a label's key, and those with its name; without what the model does not know."""
    by_key = {table.ids[label.id]} if label.id and label.id in table.ids else set[int]()
    by_name = table.named(label.name) if label.name else set[int]()
    return [indices for indices in (by_key, by_name) if indices]


def _number(label: ClassLabel, table: ClassTable) -> int | None:
    """A label's own number where the model has such an output, and no keys among which the label's should be."""
    is_stranger = bool(label.id) and label.id not in table.ids and any(table.ids)
    return label.index if label.index is not None and label.index < len(table.classes) and not is_stranger else None


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
