"""Filling a store: what is there is taken, what is missing computed, and all of it brought into the set's order."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid.data import ImageSet, Unreadable, batches
from pellucid.models import paced
from pellucid.progress import steps

from ._file_keys import FileKey, file_keys
from ._pooled import first_not_finite
from ._rows import Growing, mapped, write_chosen
from ._state import Held, Line, State, growing_file, stem, sweep, write_state
from .column import Column, FeatureSource


@dataclass(frozen=True)
class Filled:
    """What a filling did."""

    computed: int  # pictures that were read and passed
    kept: int  # rows whose features were there already
    dropped: int  # rows of files that are gone
    errors: tuple[Unreadable, ...]  # files that could not be read; they have no row


class Filling:
    """A store being filled; the store's folder is locked meanwhile.

    Args:
        folder: of the store.
        state: as it is.
        source: of the features.
        columns: that the store is to hold, those it holds already among them.
    """

    def __init__(self, folder: Path, state: State, source: FeatureSource, columns: Sequence[Column]) -> None:
        self.folder, self.state, self.source, self.columns = folder, state, source, tuple(columns)
        sweep(folder, state)
        number = state.generation + 1
        self.growing = {column: Growing(growing_file(folder, column, number)) for column in self.columns}

    def fill(
        self, images: ImageSet, *, keep_others: bool, batch_size: int | None, workers: int | None
    ) -> tuple[State, Filled]:
        """The state after it, which is on the disk, and what was done."""
        known = {line.file: line.key for line in self.state.lines}
        keys = file_keys(images, known)
        if keep_others:
            self._check_others(images)
        errors = [one for one in keys if isinstance(one, Unreadable)]
        missing = self._missing(keys)
        passed = sorted({place for places in missing.values() for place in places})
        with paced(), steps("features", sum(map(len, missing.values()))) as done:
            for columns, places in missing.items():
                size = batch_size or self.source.images_a_pass
                chosen = images.subset(places)
                for batch in batches(chosen, self.source.geometry, batch_size=size, workers=workers):
                    errors += batch.errors
                    if len(batch.indices):
                        here = [places[index] for index in batch.indices.tolist()]
                        self._compute(batch.images(), columns, [_key(keys[place]) for place in here], images, here)
                    done(len(batch.indices) + len(batch.errors))
        state = self._settled(images, keys, keep_others=keep_others)
        for column in self.columns:
            if state.columns[column].file != self.growing[column].path.name:
                self.growing[column].discard()
        sweep(self.folder, state)
        lost = {error.file for error in errors}
        gone = {line.file for line in self.state.lines} - {line.file for line in state.lines} - lost
        computed = sum(images.items[place].file not in lost for place in passed)
        return state, Filled(
            computed, len(state.lines) - computed, len(gone), tuple({e.file: e for e in errors}.values())
        )

    def _missing(self, keys: Iterable[FileKey | Unreadable]) -> dict[tuple[Column, ...], list[int]]:
        """Places in the set by the columns they lack; what lacks none is left out."""
        old = set(self.state.keys)
        have = {one: {*self.growing[one].keys, *(old if one in self.state.columns else ())} for one in self.columns}
        missing: dict[tuple[Column, ...], list[int]] = {}
        for place, key in enumerate(keys):
            if isinstance(key, FileKey):
                lacks = tuple(column for column in self.columns if key.key not in have[column])
                if lacks:
                    missing.setdefault(lacks, []).append(place)
        return missing

    def _compute(
        self, images: Tensor, columns: Sequence[Column], keys: Sequence[str], names: ImageSet, places: Sequence[int]
    ) -> None:
        """A batch's rows of some columns, checked and put on the disk."""
        made = self.source.rows(images, columns)
        for column in columns:
            rows = made[column]
            if rows.dtype != torch.float32 or rows.ndim != 2 or len(rows) != len(keys) or not rows.shape[1]:
                raise ValueError(f"{column} must be float32 ({len(keys)}, D), got {tuple(rows.shape)} {rows.dtype}")
            bad = first_not_finite(rows)
            if bad is not None:
                raise ValueError(
                    f"features must be finite, got NaN or infinity in row {places[bad]} "
                    f"({names.items[places[bad]].file}), layer {column.layer!r}"
                )
            self._check_room(column, rows.shape[1], len(names))
        for column in columns:
            self.growing[column].append(keys, made[column].cpu().numpy())

    def _check_room(self, column: Column, width: int, count: int) -> None:
        """Refuse rows of another width than those before, and more than the disk has room for."""
        growing, held = self.growing[column], self.state.columns.get(column)
        before = growing.dimension or (held.dimension if held else width)
        if width != before:
            raise ValueError(f"{column} must have {before} values an image as before, got {width}")
        needed, free = 4 * width * (count - len(growing.keys)), shutil.disk_usage(self.folder).free
        if not growing.dimension and needed > free:
            raise ValueError(
                f"{self.folder}: {column} needs {needed:,} bytes for {count:,} rows of {width:,} values, and the disk "
                f"has {free:,} free: pool with pool=gap, max or grid2, or name a folder on another disk"
            )

    def _settled(self, images: ImageSet, keys: Sequence[FileKey | Unreadable], *, keep_others: bool) -> State:
        """The state with the rows in the set's order, on the disk; the same state where nothing changed."""
        lines = self._lines(images, keys, keep_others=keep_others)
        if not lines:
            raise ValueError(f"{images.path}: none of its {len(images)} pictures could be read")
        order = [line.key.key for line in lines]
        columns = {column: self._held(column, order) for column in self.columns}
        before = self.state.classes if keep_others else ()
        classes = tuple(dict.fromkeys([*before, *images.classes]))
        new = replace(self.state, columns=columns, classes=classes, lines=tuple(lines))
        if new != self.state:
            new = replace(new, generation=self.state.generation + 1)
            write_state(self.folder, new)
        return new

    def _check_others(self, images: ImageSet) -> None:
        """Refuse to keep rows that would lack a column."""
        files = {item.file for item in images.items}
        others = sum(line.file not in files for line in self.state.lines)
        new = [column for column in self.columns if column not in self.state.columns]
        if others and new:
            raise ValueError(
                f"keep_others must leave no row without a column, but {others:,} rows of other pictures have no "
                f"{new[0]}: fill it in for all pictures as one set"
            )

    def _lines(self, images: ImageSet, keys: Sequence[FileKey | Unreadable], *, keep_others: bool) -> list[Line]:
        """Of the pictures that have every column, in the set's order; or, with others, in the order they came."""
        old = self.state.keys
        have = [{*self.growing[one].keys, *(old if one in self.state.columns else ())} for one in self.columns]
        every = set.intersection(*have)
        lines = {
            item.file: Line(item.file, key, None if item.target is None else images.classes[item.target])
            for item, key in zip(images.items, keys, strict=True)
            if isinstance(key, FileKey) and key.key in every
        }
        if not keep_others:
            return list(lines.values())
        gone = {item.file for item in images.items} - set(lines)
        before = [lines.pop(line.file, line) for line in self.state.lines if line.file not in gone]
        return [*before, *lines.values()]

    def _held(self, column: Column, order: list[str]) -> Held:
        """A file of a column's rows in an order: the one there is, the one that has grown, or a new one."""
        held, growing = self.state.columns.get(column), self.growing[column]
        old = self.state.keys
        if held is not None and order == old:
            return held
        if order == growing.keys:
            growing.close()
            return Held(growing.path.name, growing.dimension)
        sources: list[np.ndarray] = []
        places: dict[str, tuple[int, int]] = {}
        if held is not None:
            places |= {key: (len(sources), row) for row, key in enumerate(old)}
            sources.append(mapped(self.folder / held.file, len(old), held.dimension))
        if growing.keys:
            places |= {key: (len(sources), row) for row, key in enumerate(growing.keys)}
            sources.append(growing.array())
        chosen = np.array([places[key] for key in order])  # (N, 2)
        path = self.folder / f"{stem(column)}.{self.state.generation + 1:04d}.npy"
        write_chosen(path, sources, chosen[:, 0], chosen[:, 1])
        return Held(path.name, sources[0].shape[1])


def _key(key: FileKey | Unreadable) -> str:
    assert isinstance(key, FileKey)
    return key.key
