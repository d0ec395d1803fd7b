"""Layout: labels.csv beside the picture files, or beside an images.zip."""

import csv
from pathlib import Path, PurePosixPath

from ._layout import SPLITS, Found, Layout, unreadable
from .image_set import ClassLabel
from .sources import Folder, Zip

FILE_COLUMNS = ("filename", "path", "file")
CLASS_COLUMNS = ("class_index", "class_name", "wnid", "name")


def labels_csv(folder: Path) -> Layout:
    """Read labels.csv: one file column, one or more class columns, an optional split; the rest is kept as details."""
    table = folder / "labels.csv"
    rows = _rows(table)
    columns = list(rows[0]) if rows else []
    file_column = next((name for name in FILE_COLUMNS if name in columns), None)
    if file_column is None:
        raise ValueError(f"{table}: needs a column {', '.join(FILE_COLUMNS[:-1])} or {FILE_COLUMNS[-1]}, has {columns}")
    if not set(CLASS_COLUMNS) & set(columns):
        raise ValueError(f"{table}: needs one of the columns {', '.join(CLASS_COLUMNS)}, has {columns}")
    archive = folder / "images.zip"
    source: Folder | Zip = Zip(archive) if archive.is_file() else Folder(folder)
    names = set(source.listing.files)
    refused = dict(source.listing.refused)
    kept = {file_column, *CLASS_COLUMNS, "split"}
    found, errors, seen = [], [], set[str]()
    for line, row in enumerate(rows, start=2):
        file = row[file_column] or ""
        name = _resolve(file, names)
        if name is None or name in seen:
            missing = refused.get(file, "listed in labels.csv, but not there")
            errors.append((file or f"(line {line})", "listed twice in labels.csv" if name else missing))
            continue
        seen.add(name)
        split = (row.get("split") or "").strip().lower()
        details = tuple((key, value or "") for key, value in row.items() if key not in kept)
        found.append(Found(file, name, _label(row, table, line), SPLITS.get(split, split), 0, details))
    return Layout(tuple(found), (source,), unreadable(errors))


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return [{(key or "").strip(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{table}: not a CSV table in UTF-8 ({error})") from error


def _resolve(file: str, names: set[str]) -> str | None:
    """The name in the source that a row means: as written, or below images/."""
    plain = PurePosixPath(file).as_posix() if file else ""
    return next((name for name in (plain, f"images/{plain}") if name in names), None)


def _label(row: dict[str, str], table: Path, line: int) -> ClassLabel | None:
    name, wnid, number = (
        (row.get(key) or "").strip() for key in ("class_name" if row.get("class_name") else "name", "wnid", "class_index")
    )
    if number and not (number.isdecimal() and number.isascii()):
        raise ValueError(f"{table}: line {line}: class_index must be a whole number from 0, got {number!r}")
    if not (name or wnid or number):
        return None
    return ClassLabel(name, wnid, int(number) if number else None)
