"""Layout: labels.csv beside the picture files or an images.zip, in a folder or a zip."""

import csv
from io import StringIO
from pathlib import Path

from ._layout import SPLITS, Found, Layout, LeftOut, pictures_of
from .image_set import ClassLabel
from .sources import Folder, Zip

FILE_COLUMNS = ("filename", "path", "file")
CLASS_COLUMNS = ("class_index", "class_name", "wnid", "name")


def labels_csv(home: Folder | Zip, member: str = "labels.csv") -> Layout:
    """Read labels.csv: one file column, one or more class columns, an optional split; the rest is kept as details."""
    table = home.path / member
    columns, rows = _rows(home, member)
    file_column = next((name for name in FILE_COLUMNS if name in columns), None)
    if file_column is None:
        raise ValueError(f"{table}: needs a column {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]}, has {columns}")
    if not set(CLASS_COLUMNS) & set(columns):
        raise ValueError(f"{table}: needs one of the columns {', '.join(CLASS_COLUMNS)}, has {columns}")
    source, find = pictures_of(home, member)
    kept = {file_column, *CLASS_COLUMNS, "split"}
    found, errors, seen = [], [], set[str]()
    for line, row in enumerate(rows, start=2):
        file = row[file_column] or ""
        split = (row.get("split") or "").strip().lower()
        split = SPLITS.get(split, split)
        name, missing = find(file)
        if name is None or name in seen:
            reason = f"listed {'twice in' if name else 'in'} labels.csv{missing}"
            errors.append(LeftOut(file or f"(line {line})", reason, split))
            continue
        seen.add(name)
        details = tuple((key, value or "") for key, value in row.items() if key not in kept)
        found.append(Found(file, name, _label(row, table, line), split, 0, details))
    return Layout(tuple(found), (source,), tuple(errors))


def _rows(home: Folder | Zip, member: str) -> tuple[list[str], list[dict[str, str | None]]]:
    """The column names, and each row by them; a value is None where its row is too short."""
    try:
        reader = csv.DictReader(StringIO(home.text(member), newline=""))
        columns = [name.strip() for name in reader.fieldnames or ()]
        rows = [{key.strip(): value for key, value in row.items() if key} for row in reader]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{home.path / member}: not a CSV table in UTF-8 ({error})") from error
    return [name for name in columns if name], rows


def _label(row: dict[str, str | None], table: Path, line: int) -> ClassLabel | None:
    name_column = "class_name" if row.get("class_name") else "name"
    name, wnid, number = ((row.get(key) or "").strip() for key in (name_column, "wnid", "class_index"))
    if number and not (number.isdecimal() and number.isascii() and len(number) < 10):
        raise ValueError(f"{table}: line {line}: class_index must be a whole number from 0, got {number[:40]!r}")
    if not (name or wnid or number):
        return None
    return ClassLabel(name, wnid, int(number) if number else None)
