"""What a store holds, as it stands on the disk: store.json, and an index with a line for each row.

store.json names every file that counts; all others are leftovers. It is replaced in one step, so that a store is at
every moment what it was before a filling or what it is after it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pellucid.files import read_object, write_json, written
from pellucid.records import record

from ._file_keys import FileKey
from .column import Column

FILE = "store.json"

LEFT = re.compile(r".+\.\d{4,}(\.rows)?\.npy|index\.\d{4,}\.parquet|\..+\.part")
"""Files that a store makes; those that store.json does not name may go."""


@dataclass(frozen=True)
class Held:
    """One column of a store."""

    file: str
    dimension: int


@dataclass(frozen=True)
class Line:
    """One row of a store."""

    file: str  # of the picture, unique
    key: FileKey
    label: str | None  # class name


@dataclass(frozen=True)
class State:
    """A store at a moment."""

    about: Mapping[str, Any] = field(default_factory=dict)  # of the source; empty before there is one
    generation: int = 0  # how often what it holds has changed
    columns: Mapping[Column, Held] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def keys(self) -> list[str]:
        """Of every row."""
        return [line.key.key for line in self.lines]


def stem(column: Column) -> str:
    """The start of a column's file names."""
    digest = hashlib.sha256(repr((column.layer, column.pool, column.post)).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', column.layer)[:60]}-{column.pool}-{digest[:8]}"


def read_state(folder: Path) -> State:
    """What a folder holds; an empty state where there is none.

    Raises:
        ValueError: what is there is damaged, or no store.
    """
    if not (folder / FILE).is_file():
        others = [path.name for path in folder.iterdir() if path.name != ".lock"] if folder.is_dir() else []
        if folder.exists() and (others or not folder.is_dir()):
            raise ValueError(f"{folder}: is no store of features (it has no {FILE}), and not empty: name a new folder")
        return State()
    told = read_object(folder / FILE)
    try:
        if told["format"] != 1:
            raise ValueError(f"its format is {told['format']!r}, and this version knows 1")
        columns = {
            Column(one["layer"], one["pool"], one["post"]): Held(one["file"], int(one["dimension"]))
            for one in told["columns"]
        }
        names = [*(held.file for held in columns.values()), *([told["index"]] if told["index"] else [])]
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files outside the store")
        words = [word for column in columns for word in (column.layer, column.pool, column.post)]
        if not all(isinstance(word, str) for word in (*words, *told["classes"])):
            raise ValueError("its layers, poolings and classes must be words")
        lines = _read_lines(folder / told["index"], set(told["classes"])) if told["index"] else ()
        return State(dict(told["about"]), int(told["generation"]), columns, tuple(told["classes"]), lines)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / FILE}: is damaged ({error}); fill a new folder") from error


def write_state(folder: Path, state: State) -> None:
    """Put a state in the place of the one before; what it names is on the disk already."""
    index = f"index.{state.generation:04d}.parquet" if state.lines else ""
    if index:
        with written(folder / index) as new:
            _write_lines(new, state.lines)
    stamp = record("features", options={}, model=state.about, data={"rows": len(state.lines)})
    columns = [
        {"layer": one.layer, "pool": one.pool, "post": one.post, "dimension": held.dimension, "file": held.file}
        for one, held in state.columns.items()
    ]
    told = {
        "format": 1,
        "about": dict(state.about),
        "generation": state.generation,
        "rows": len(state.lines),
        "normalisation": "none",
        "classes": list(state.classes),
        "index": index,
        "columns": columns,
        "record": stamp.json(),
    }
    with written(folder / FILE) as new:
        write_json(new, told)


def sweep(folder: Path, state: State) -> None:
    """Remove what an earlier filling left behind: all but what counts, and rows that were still being computed."""
    kept = {*(held.file for held in state.columns.values()), f"index.{state.generation:04d}.parquet"}
    for journal in list(folder.glob("*.keys")):
        rows = journal.with_suffix(".npy")
        if rows.name in kept or not rows.is_file():
            journal.unlink()
        else:
            kept.add(rows.name)
    for path in list(folder.iterdir()):
        if path.name not in kept and LEFT.fullmatch(path.name):
            path.unlink()


def growing_file(folder: Path, column: Column, generation: int) -> Path:
    """Where a column's new rows go: where they went before, if they were never finished."""
    begun = sorted(folder.glob(f"{_escaped(stem(column))}.*.rows.keys"))
    return begun[0].with_suffix(".npy") if begun else folder / f"{stem(column)}.{generation:04d}.rows.npy"


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _read_lines(path: Path, classes: Set[str]) -> tuple[Line, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = {None, *classes}
    try:
        told = pq.read_table(path).to_pydict()
        rows = list(zip(told["file"], told["hash"], told["stamp"], told["label"], strict=True))
        if not all(isinstance(word, str) for row in rows for word in row[:3]) or not {row[3] for row in rows} <= known:
            raise ValueError(f"{path.name}: its lines must be words, and the labels those of {FILE}")
        return tuple(Line(file, FileKey(key, stamp), label) for file, key, stamp, label in rows)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _write_lines(path: Path, lines: Sequence[Line]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "file": pa.array([line.file for line in lines], pa.string()),
        "hash": pa.array([line.key.key for line in lines], pa.string()),
        "row": pa.array(range(len(lines)), pa.int64()),
        "stamp": pa.array([line.key.stamp for line in lines], pa.string()),
        "label": pa.array([line.label for line in lines], pa.string()),
    }
    pq.write_table(pa.table(columns), path)
