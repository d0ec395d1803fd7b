"""Store: features of a set of pictures, computed once and kept on disk.

store.json             what the rows are of: network, weights, preprocessing, columns; and which files count
index.0003.parquet     a line a row: file, hash of its bytes, row, label
NAME.0003.npy          the rows of a column, (N, D), float32, in the set's order

A row belongs to a picture's bytes, a layer, a pooling, and to the store's one network with its preprocessing. Filling
computes what is missing and nothing else, and may be killed at any moment: at most the batch it was at is lost.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pellucid.checks import check_count, near
from pellucid.data import ImageSet
from pellucid.models import Model

from ._filling import Filled, Filling
from ._network import Network
from ._rows import mapped
from ._state import read_state, write_state
from .column import Column, FeatureSource

if TYPE_CHECKING:
    import numpy as np


class Store:
    """Features on disk, a row for each picture of a set.

    Args:
        folder: of the store; made by the first filling.

    Raises:
        ValueError: the folder holds something else, or a damaged store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._state = read_state(self.folder)

    def __len__(self) -> int:
        """Rows."""
        return len(self._state.lines)

    @property
    def about(self) -> Mapping[str, Any]:
        """What every row depends on: the source's kind, name, hash of weights and preprocessing; {} while empty."""
        return self._state.about

    @property
    def columns(self) -> dict[Column, int]:
        """The columns, and how many values a row of each has."""
        return {column: held.dimension for column, held in self._state.columns.items()}

    @property
    def files(self) -> tuple[str, ...]:
        """The picture of each row."""
        return tuple(line.file for line in self._state.lines)

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of each row, the hash of its picture's bytes: equal for equal files."""
        return tuple(self._state.keys)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the set, in the order of the targets."""
        return self._state.classes

    @property
    def targets(self) -> Tensor:
        """(N,), int64, of each row; -1 where it has no label."""
        number = {name: place for place, name in enumerate(self.classes)}
        found = [-1 if line.label is None else number[line.label] for line in self._state.lines]
        return torch.tensor(found, dtype=torch.int64)

    def fill(
        self,
        model: Model,
        images: ImageSet,
        layers: Sequence[str],
        *,
        pool: str = "auto",
        post: str = "none",
        keep_others: bool = False,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> Filled:
        """Bring the store up to a set of pictures at layers of a model; what it holds already costs nothing.

        Afterwards its rows are the set's pictures in the set's order. Columns it held before are brought up as well.

        Args:
            model: a Model in eval mode, the one the store was begun with.
            images: the set.
            layers: dotted names, or one, as of `extract`.
            pool: as of `extract`.
            post: as of `extract`.
            keep_others: keep the rows that are there, in their order, also of pictures of other sets; new ones follow.
            batch_size: pictures a batch, at least 1; it decides what a crash loses. None suits the device.
            workers: decoding processes, see `data.batches`.

        Raises:
            ValueError: another model's store (tells both), another process fills it, no such layer, features that
                are not finite (tells the file), or no room on the disk for them.
            OSError: the disk is full all the same; what was computed is kept, and the next filling goes on from it.
        """
        names = [layers] if isinstance(layers, str) else layers
        columns = [Column(name, pool, post) for name in names]
        return self.fill_from(
            Network(model), images, columns, keep_others=keep_others, batch_size=batch_size, workers=workers
        )

    def fill_from(
        self,
        source: FeatureSource,
        images: ImageSet,
        columns: Sequence[Column],
        *,
        keep_others: bool = False,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> Filled:
        """The same, with features of any source.

        Args:
            source: of the features, the one the store was begun with.
            images: the set.
            columns: to hold, besides those that it holds.
            keep_others: as of `fill`.
            batch_size: as of `fill`.
            workers: as of `fill`.
        """
        if batch_size is not None:
            check_count("batch_size", batch_size, 1)
        if not columns or not len(images):
            raise ValueError(f"{'layers' if not columns else images.path}: must hold at least one, got none")
        about = _plain(source.about)
        with self._locked():
            self._state = read_state(self.folder)
            self._check(about)
            if not self._is_begun:
                self._state = replace(self._state, about=about)
                write_state(self.folder, self._state)
            wanted = dict.fromkeys([*self._state.columns, *columns])
            filling = Filling(self.folder, self._state, source, list(wanted))
            self._state, filled = filling.fill(images, keep_others=keep_others, batch_size=batch_size, workers=workers)
        return filled

    def read(self, layer: str, *, pool: str | None = None, post: str | None = None) -> "np.memmap":
        """The rows of a layer, (N, D), float32, mapped from the disk and not to be written to.

        Args:
            layer: as it was filled.
            pool: which, where the layer was pooled in several ways.
            post: which, likewise.

        Raises:
            ValueError: no such column (names those there are), several, or a damaged file.
        """
        column = self.column(layer, pool=pool, post=post)
        held = self._state.columns[column]
        return mapped(self.folder / held.file, len(self), held.dimension)

    def tensor(
        self, layer: str, rows: Tensor | None = None, *, pool: str | None = None, post: str | None = None
    ) -> Tensor:
        """Rows of a layer in memory, (n, D), float32.

        Args:
            layer: as of `read`.
            rows: (n,), int64, which; None: all.
            pool: as of `read`.
            post: as of `read`.
        """
        import numpy as np

        found = self.read(layer, pool=pool, post=post)
        return torch.from_numpy(np.array(found if rows is None else found[rows.cpu().numpy()]))

    def column(self, layer: str, *, pool: str | None = None, post: str | None = None) -> Column:
        """The one column that is meant; see `read`."""
        of_layer = [column for column in self._state.columns if column.layer == layer]
        if not of_layer:
            known = [column.layer for column in self._state.columns]
            raise ValueError(
                f"{self.folder}: holds no layer {layer!r}, but {', '.join(dict.fromkeys(known)) or 'none'}"
                f"{near(layer, known)}"
            )
        meant = [one for one in of_layer if pool in {None, one.pool} and post in {None, one.post}]
        if len(meant) != 1:
            told = ", ".join(map(str, of_layer))
            raise ValueError(f"{self.folder}: pool and post must name one of {told}, got {pool!r} and {post!r}")
        return meant[0]

    def rows(self, images: ImageSet | Sequence[str]) -> Tensor:
        """(n,), int64: the row of each picture of a set, or of each file named.

        Raises:
            ValueError: a picture that has no row; names it.
        """
        files = [item.file for item in images.items] if isinstance(images, ImageSet) else list(images)
        place = {file: row for row, file in enumerate(self.files)}
        lost = next((file for file in files if file not in place), None)
        if lost is not None:
            raise ValueError(
                f"{self.folder}: holds no row of {lost}: was it left out as unreadable, or never filled in?"
            )
        return torch.tensor([place[file] for file in files], dtype=torch.int64)

    def check(self, source: Model | FeatureSource) -> None:
        """Refuse a model, or another source, that is not the one the rows are of; tells both."""
        self._check(_plain((Network(source) if isinstance(source, Model) else source).about))

    @property
    def _is_begun(self) -> bool:
        """Whether there are rows, or were some computed by a filling that did not come to its end."""
        return bool(self._state.columns) or any(self.folder.glob("*.keys"))

    def _check(self, about: Mapping[str, Any]) -> None:
        old = self._state.about
        differing = [key for key in dict.fromkeys([*old, *about]) if key != "name" and old.get(key) != about.get(key)]
        if self._is_begun and differing:
            raise ValueError(
                f"{self.folder}: holds features of {_told(old)}, got {_told(about)}, which differs in "
                f"{', '.join(differing)}: features of two sources never mix, so name another folder"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep every other process from filling; a killed one lets go."""
        from filelock import FileLock, Timeout

        read_state(self.folder)  # refuses a folder that is no store before anything is put into it
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{self.folder} cannot be made ({error.strerror})") from error
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"{self.folder}: another process is filling this store") from error
        try:
            yield
        finally:
            lock.release()


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(about), allow_nan=False))
    return plain


def _told(about: Mapping[str, Any]) -> str:
    return f"{about.get('name')} (weights {str(about.get('weights'))[:8]})"
