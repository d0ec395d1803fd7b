"""What an index of pictures keeps beside its features: index.json, and the structure of an approximate search.

index.json is replaced last and in one step, and tells the hashes of what it belongs to: rows or a structure that are
not those it was made with are refused.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.files import read_object, write_json, written
from pellucid.records import record

from . import _structures
from ._distances import parts
from .column import Column
from .index import Index
from .store import Store

FILE = "index.json"

OPTIONS = ("kind", "distance", "cells", "probes", "links", "effort")

SOURCE = {"images": str, "split": str, "model": dict}
"""What is told of where pictures and model came from."""


@dataclass(frozen=True)
class Told:
    """What index.json says."""

    column: Column
    options: Mapping[str, Any]  # of Index
    source: Mapping[str, Any]  # images, split, model
    rows: str = ""  # hash of the features
    structure: str = ""  # name of the file, "" where there is none
    structure_hash: str = ""
    generation: int = 0  # how often what it holds has changed


def read_told(folder: Path) -> Told | None:
    """What a folder says; None where nothing was indexed yet.

    Raises:
        ValueError: index.json is damaged, or the folder holds something else.
    """
    if not (folder / FILE).is_file():
        foreign = sorted(path.name for path in folder.iterdir() if path.name != "features") if folder.is_dir() else []
        if folder.exists() and (foreign or not folder.is_dir()):
            raise ValueError(f"{folder}: is no index (it has no {FILE}), and not empty: name a new folder")
        return None
    told = read_object(folder / FILE)
    try:
        if told["format"] != 1:
            raise ValueError(f"its format is {told['format']!r}, and this version knows 1")
        column = Column(*(str(told[key]) for key in ("layer", "pool", "post")))
        names = [told[key] for key in ("rows", "structure", "structure_hash")]
        if not all(isinstance(name, str) for name in names) or Path(names[1]).name != names[1]:
            raise ValueError("it names files outside the index")
        options, source = options_of(Index(**told["options"])), dict(told["source"])
        if not all(isinstance(source[key], kind) for key, kind in SOURCE.items()):
            raise ValueError("it does not tell where its pictures lie, or how its model was named")
        return Told(column, options, source, names[0], names[1], names[2], int(told["generation"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / FILE}: is damaged ({error}); index the pictures again in a new folder") from error


def options_of(index: Index) -> dict[str, Any]:
    """How it is searched, as the constructor takes it."""
    return {name: getattr(index, name) for name in OPTIONS}


def opened(folder: Path, told: Told, store: Store) -> Index:
    """The index, checked against what it was made of."""
    rows = _rows(store, told.column)
    if _hash_of(rows) != told.rows:
        raise ValueError(
            f"{folder}: its features are not those it was made of: indexing was not finished, or a file is damaged; "
            "index the pictures again, in a new folder if that does not help"
        )
    index = Index(**told.options)
    if not told.structure:
        return index.take(rows, None)
    path = folder / told.structure
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: not readable ({error.strerror}); index the pictures again") from error
    if found != told.structure_hash:
        raise ValueError(f"{path}: is damaged (its hash is not the one in {FILE}); index the pictures again")
    dimension = rows.shape[1] + (index.distance == "cosine")
    return index.take(rows, _structures.read(path, index.kind, len(rows), dimension))


def structured(folder: Path, told: Told, old: Told | None, store: Store, index: Index) -> tuple[Told, Index]:
    """The index of a store's rows, on the disk: the one there is where nothing changed."""
    rows = _rows(store, told.column)
    digest = _hash_of(rows)
    generation = old.generation if old else 0
    if old and old.rows == digest and _made_of(old) == _made_of(told):
        name, structure_hash = old.structure, old.structure_hash
        index = opened(folder, Told(told.column, told.options, told.source, digest, name, structure_hash), store)
    else:
        generation += 1
        index.fit(rows)
        name = structure_hash = ""
        if index.structure_ is not None:
            name = f"structure.{generation:04d}.faiss"
            with written(folder / name) as new:
                _structures.write(index.structure_, new)
            with (folder / name).open("rb") as file:
                structure_hash = hashlib.file_digest(file, "sha256").hexdigest()
    new_told = Told(told.column, told.options, told.source, digest, name, structure_hash, generation)
    if new_told != old:
        _write(folder, new_told, store)
    for path in folder.glob("structure.*.faiss"):
        if path.name != name:
            path.unlink()
    return new_told, index


def _made_of(told: Told) -> tuple[Any, ...]:
    """What a structure depends on, besides its rows."""
    return told.column, *(told.options[name] for name in ("kind", "distance", "cells", "links"))


def _write(folder: Path, told: Told, store: Store) -> None:
    stamp = record("index", options=told.options, model=store.about, data={**told.source, "rows": len(store)})
    with written(folder / FILE) as new:
        write_json(
            new,
            {
                "format": 1,
                "layer": told.column.layer,
                "pool": told.column.pool,
                "post": told.column.post,
                "options": dict(told.options),
                "source": dict(told.source),
                "rows": told.rows,
                "structure": told.structure,
                "structure_hash": told.structure_hash,
                "generation": told.generation,
                "record": stamp.json(),
            },
        )


def _rows(store: Store, column: Column) -> np.memmap:
    return store.read(column.layer, pool=column.pool, post=column.post)


def _hash_of(rows: np.ndarray) -> str:
    digest = hashlib.sha256(f"{rows.shape}".encode())
    for part in parts(rows):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
