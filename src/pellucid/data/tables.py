"""Tables of numbers with a class for each row, read from CSV; every refusal names the row and the column."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from pellucid.checks import check_choice, near

from .sources import Folder

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""What a cell without a value says, in small letters."""

POLICIES = ("error", "drop", "keep")
DELIMITERS = ",;\t"
LARGEST = 1e100
"""Beyond it squares and spreads overflow, and a cell of that size is a mistake."""


@dataclass(frozen=True)
class Table:
    """Rows of numbers in a fixed order, with a class each."""

    path: str  # what was opened, as the user wrote it
    columns: tuple[str, ...]  # d names
    values: Tensor  # (N, d), float64; NaN only where a missing value was asked to be kept
    targets: Tensor  # (N,), int64, in [0, K)
    classes: tuple[str, ...]  # K names, in the order of the targets
    rows: Tensor  # (N,), int64, position in what was opened, from 1, its heading not counted
    target: str = "class"  # name of the column that holds the classes
    dropped: int = 0  # rows left out, for a value was missing

    def __len__(self) -> int:
        return len(self.targets)

    def subset(self, indices: Tensor | Sequence[int]) -> "Table":
        """The same table with only these rows, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        return replace(self, values=self.values[chosen], targets=self.targets[chosen], rows=self.rows[chosen])


def read_table(path: str | Path, *, target: str = "", ignore: str = "", missing: str = "error") -> Table:
    """Read a CSV table: a heading, one row a sample, numbers everywhere but in the target column.

    Args:
        path: a .csv file in UTF-8; columns are parted by commas, semicolons or tabs.
        target: name of the column that holds the class; the last column by default.
        ignore: names of columns to leave out, parted by commas, such as a row's own number.
        missing: what a missing value does: error, drop (leaves the row out) or keep (as NaN, for a scaler to fill).

    Raises:
        ValueError: no such file or column, a cell that is no number (row and column are named), a missing value
            without a policy, a row of another length, no rows, or a single class.
    """
    check_choice("missing", missing, POLICIES)
    heading, lines = _read(Path(path))
    label = target or heading[-1]
    left_out = {name.strip() for name in ignore.split(",") if name.strip()}
    for name in (label, *sorted(left_out)):
        _check_column(path, name, heading)
    columns = [name for name in heading if name != label and name not in left_out]
    if not columns:
        raise ValueError(f"{path}: needs at least one column of numbers beside {label!r}")
    places = [heading.index(name) for name in columns]
    rows, names, values = [], [], []
    for row, cells in lines:
        name, wanted = cells[heading.index(label)].strip(), [cells[place] for place in places]
        if missing == "drop" and any(_is_missing(cell) for cell in (name, *wanted)):
            continue
        if _is_missing(name):
            raise ValueError(f"{path}: row {row}, column {label!r}: has no class; drop such rows with missing=drop")
        values.append(_numbers(path, row, columns, wanted, keep=missing == "keep"))
        names.append(name)
        rows.append(row)
    classes = _classes(path, label, names)
    position = {name: place for place, name in enumerate(classes)}
    return Table(
        path=str(path),
        columns=tuple(columns),
        values=torch.tensor(values, dtype=torch.float64),
        targets=torch.tensor([position[name] for name in names], dtype=torch.int64),
        classes=tuple(classes),
        rows=torch.tensor(rows, dtype=torch.int64),
        target=label,
        dropped=len(lines) - len(rows),
    )


def read_rows(path: str | Path, columns: Sequence[str], *, missing: str = "error") -> Tensor:
    """The values of some columns of a CSV table, in that order; other columns are not looked at.

    Args:
        path: a .csv file in UTF-8 with a heading.
        columns: d names, which must all be there.
        missing: what a missing value does: error, or keep (as NaN).

    Returns:
        (N, d), float64.

    Raises:
        ValueError: as read_table.
    """
    check_choice("missing", missing, ("error", "keep"))
    heading, lines = _read(Path(path))
    for name in columns:
        _check_column(path, name, heading)
    places = [heading.index(name) for name in columns]
    values = [
        _numbers(path, row, columns, [cells[place] for place in places], keep=missing == "keep") for row, cells in lines
    ]
    return torch.tensor(values, dtype=torch.float64)


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The heading, and each row with its number from 1; rows that are blank are none."""
    if not path.exists():
        beside = [p.name for p in path.parent.glob("*.csv")] if path.parent.is_dir() else []
        raise ValueError(f"{path}: no such table{near(path.name, beside)}")
    try:
        text = Folder(path.parent).text(path.name)
        first = text.partition("\n")[0]
        delimiter = max(DELIMITERS, key=first.count)
        lines = [cells for cells in csv.reader(StringIO(text, newline=""), delimiter=delimiter) if any(cells)]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}: not a CSV table in UTF-8 ({error})") from error
    if len(lines) < 2:
        raise ValueError(f"{path}: must have a heading and at least one row, got {len(lines)} lines")
    heading = [name.strip() for name in lines[0]]
    _check_heading(path, heading)
    for row, cells in enumerate(lines[1:], start=1):
        if len(cells) != len(heading):
            raise ValueError(f"{path}: row {row} must have {len(heading)} cells as the heading, got {len(cells)}")
    return heading, list(enumerate(lines[1:], start=1))


def _check_heading(path: Path, heading: Sequence[str]) -> None:
    if all(_number(name) is not None for name in heading):
        raise ValueError(f"{path}: the first line must name the columns, got the numbers {', '.join(heading)}")
    for place, name in enumerate(heading):
        if not name:
            raise ValueError(f"{path}: column {place + 1} has no name in the heading")
        if name in heading[:place]:
            raise ValueError(f"{path}: two columns are called {name!r}; give each a name of its own")


def _check_column(path: str | Path, name: str, heading: Sequence[str]) -> None:
    if name not in heading:
        raise ValueError(f"{path}: has no column {name!r}, has {', '.join(heading)}{near(name, heading)}")


def _numbers(path: str | Path, row: int, columns: Sequence[str], cells: Sequence[str], *, keep: bool) -> list[float]:
    """The cells of a row as numbers."""
    found = []
    for name, cell in zip(columns, cells, strict=True):
        value = math.nan if _is_missing(cell) else _number(cell)
        if value is None:
            raise ValueError(
                f"{path}: row {row}, column {name!r}: must be a number, got {cell.strip()[:40]!r}; "
                "leave the column out (ignore) if it is no measurement"
            )
        if math.isnan(value) and not keep:
            raise ValueError(
                f"{path}: row {row}, column {name!r}: a value is missing; say what to do with such rows (missing)"
            )
        found.append(value)
    return found


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _number(cell: str) -> float | None:
    """A cell as a number; None when it is none, or too large to reckon with."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None


def _classes(path: str | Path, label: str, names: Sequence[str]) -> list[str]:
    """The classes, numbers by size and words by letter."""
    if not names:
        raise ValueError(f"{path}: no row is left, for each lacks a value")
    found = sorted(set(names))
    if len(found) == 1:
        raise ValueError(f"{path}: column {label!r} must hold at least two classes, got only {found[0]!r}")
    numbers = [_number(name) for name in found]
    if len(found) > max(20, len(names) // 2) and None not in numbers:
        raise ValueError(
            f"{path}: column {label!r} holds {len(found)} different numbers in {len(names)} rows: a measurement, no "
            "class; name the class column (target)"
        )
    return found if None in numbers else sorted(found, key=float)
