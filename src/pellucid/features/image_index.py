"""Pictures found by what a network makes of them: an index on disk over a set, to be asked with other pictures.

index.json             what the rows are of: model, layer, pooling; how they are searched; where the pictures lie
features/              a `Store` of the rows
structure.0001.faiss   what makes a search faster, of the kinds ivf and hnsw

Indexing again computes only pictures that are new or changed. It may be killed at any moment: at most a batch is lost.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_count
from pellucid.data import ImageSet, Unreadable, batches
from pellucid.models import Model

from ._file_keys import FileKey, file_keys
from ._filling import Filled
from ._found import Found, itself_of, left_out, rounding
from ._index_files import Told, opened, options_of, read_told, structured
from ._network import Network
from .column import Column, FeatureSource
from .index import Index
from .last_features import last_features
from .store import Store


class ImageIndex:
    """An index of pictures in a folder.

    Args:
        folder: of the index; made when pictures are indexed.

    Raises:
        ValueError: the folder holds something else, or a damaged index.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._told = read_told(self.folder)
        self._index: Index | None = None

    def __len__(self) -> int:
        """Pictures; 0 before there is an index."""
        return 0 if self._told is None else len(self.store)

    @property
    def store(self) -> Store:
        """Files, labels and features of the pictures."""
        return Store(self.folder / "features")

    @property
    def column(self) -> Column:
        """Layer and pooling."""
        return self._known.column

    @property
    def options(self) -> Mapping[str, Any]:
        """How it is searched: kind, distance, and the numbers of the kind."""
        return self._known.options

    @property
    def source(self) -> Mapping[str, Any]:
        """Where the pictures lie, and how the model was named: for whoever opens them again."""
        return self._known.source

    @property
    def index(self) -> Index:
        """The rows, to be searched; read when first asked for, and checked.

        Raises:
            ValueError: files were changed or damaged since it was made.
        """
        if self._index is None:
            self._index = opened(self.folder, self._known, self.store)
        return self._index

    def fill(
        self,
        model: Model,
        images: ImageSet,
        *,
        layer: str | None = None,
        pool: str | None = None,
        post: str | None = None,
        kind: str | None = None,
        distance: str | None = None,
        cells: int | None = None,
        probes: int | None = None,
        links: int | None = None,
        effort: int | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> Filled:
        """Bring the index up to a set of pictures; what it holds already costs nothing.

        Args:
            model: a Model in eval mode, the one the index was begun with.
            images: the set; afterwards the index's rows are its pictures, in its order.
            layer: dotted name; none takes the index's own, at first what the last linear layer is given.
            pool: as of `extract`; none takes the index's own, at first auto.
            post: none or relu; not given, the index's own, at first none.
            kind: exact, ivf or hnsw; none takes the index's own, at first exact.
            distance: mse, cosine or l1; none takes the index's own, at first mse.
            cells: as of `Index`; none takes the index's own, here and below, at first that of `Index`.
            probes: as of `Index`.
            links: as of `Index`.
            effort: as of `Index`.
            batch_size: pictures a batch, at least 1; it decides what a crash loses. None suits the device.
            workers: decoding processes, see `data.batches`.

        Raises:
            ValueError: another model's index, or another layer's (tells both); or as of `Store.fill`.
        """
        if layer is None and self._told is None:
            layer = last_features(model)
        return self.fill_from(
            Network(model), images, layer=layer, pool=pool, post=post, kind=kind, distance=distance, cells=cells,
            probes=probes, links=links, effort=effort, batch_size=batch_size, workers=workers, spec=_spec_of(model),
        )  # fmt: skip

    def fill_from(
        self,
        source: FeatureSource,
        images: ImageSet,
        *,
        layer: str | None = None,
        pool: str | None = None,
        post: str | None = None,
        kind: str | None = None,
        distance: str | None = None,
        cells: int | None = None,
        probes: int | None = None,
        links: int | None = None,
        effort: int | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> Filled:
        """The same, with features of any source.

        Args:
            source: of the features, the one the index was begun with.
            images: as of `fill`.
            layer: what the source calls it; none takes the index's own.
            pool: as of `fill`.
            post: as of `fill`.
            kind: as of `fill`.
            distance: as of `fill`.
            cells: as of `fill`.
            probes: as of `fill`.
            links: as of `fill`.
            effort: as of `fill`.
            batch_size: as of `fill`.
            workers: as of `fill`.
            spec: how the source was named, kept for whoever opens it again.
        """
        old = self._told
        if layer is None and old is None:
            raise ValueError("layer must be given for a new index of a source that is no model")
        before = old.column if old else Column(layer or "")
        column = Column(layer or before.layer, pool or before.pool, post or before.post)
        if old and column != old.column:
            raise ValueError(
                f"{self.folder}: indexes {old.column}, got {column}: rows of two layers never mix, so name another "
                "folder"
            )
        numbers = {"cells": cells, "probes": probes, "links": links, "effort": effort}
        asked = {"kind": kind, "distance": distance, **numbers}
        given = {name: value for name, value in asked.items() if value is not None}
        index = Index(**{**(old.options if old else {}), **given})  # refuses what is out of range before any work
        filled = self.store.fill_from(source, images, [column], batch_size=batch_size, workers=workers)
        place = {"images": _absolute(images.path), "split": images.split, "model": dict(spec or {})}
        told = Told(column, options_of(index), place)
        self._told, self._index = structured(self.folder, told, old, self.store, index)
        return filled

    def search(
        self, model: Model | FeatureSource, images: Tensor | ImageSet, *, k: int = 10, exclude_self: bool = False
    ) -> Found:
        """The pictures most like others.

        Args:
            model: the one the index was begun with, or the source.
            images: (Q, C, H, W), float, in [0, 1]; or a set of pictures.
            k: pictures for each, from 1 to those there are.
            exclude_self: leave the picture itself out, where it is in the index; else it comes first, at distance 0.

        Raises:
            ValueError: another model (tells both), k out of range, images of other channels, or a damaged index.
        """
        store, index = self.store, self.index
        check_count("k", k, 1, len(store) - exclude_self)
        store.check(model)
        source = Network(model) if isinstance(model, Model) else model
        errors: tuple[Unreadable, ...] = ()
        if isinstance(images, Tensor):
            rows, asked = source.rows(images, [self.column])[self.column], torch.arange(len(images))
            names = [("", "")] * len(images)
        else:
            rows, asked, names, errors = self._rows_of(source, images)
        if not len(rows):
            nothing = torch.zeros(0, k, dtype=torch.int64)
            return Found(asked, nothing, nothing.double(), asked, asked.bool(), errors)
        found = index.search(rows, k=k + exclude_self)
        limit = rounding(index.distance, rows)
        places, far = found.rows, torch.where(found.distances <= limit[:, None], 0.0, found.distances)
        order = np.lexsort((places.numpy(), far.numpy()), axis=1)
        places, far = (part.gather(1, torch.from_numpy(order)) for part in (places, far))
        itself, is_same = itself_of(places, far, names, self.store)
        if exclude_self:
            places, far = left_out(places, far, itself, k)
        return Found(asked, places, far, itself, is_same, errors)

    @property
    def _known(self) -> Told:
        if self._told is None:
            raise ValueError(f"{self.folder}: holds no index: index pictures first")
        return self._told

    def _rows_of(
        self, source: FeatureSource, images: ImageSet
    ) -> tuple[Tensor, Tensor, list[tuple[str, str]], tuple[Unreadable, ...]]:
        """Features of a set (q, D), the places they belong to, hash and name of each, and what could not be read.

        Known files cost nothing.
        """
        known = {key: row for row, key in reversed(list(enumerate(self.store.hashes)))}
        keys = file_keys(images, {})
        errors = [one for one in keys if isinstance(one, Unreadable)]
        held = {
            place: known[key.key] for place, key in enumerate(keys) if isinstance(key, FileKey) and key.key in known
        }
        rows = {place: torch.from_numpy(np.array(self.index.features_[row])) for place, row in held.items()}
        places = [place for place, key in enumerate(keys) if isinstance(key, FileKey) and place not in held]
        if places:
            some = images.subset(places)
            for batch in batches(some, source.geometry, batch_size=source.images_a_pass):
                errors += batch.errors
                if len(batch.indices):
                    made = source.rows(batch.images(), [self.column])[self.column]
                    rows |= {places[i]: row for i, row in zip(batch.indices.tolist(), made, strict=True)}
        order = sorted(rows)
        stacked = torch.stack([rows[place] for place in order]) if order else torch.zeros(0)
        names = [(key.key, images.items[place].name) for place in order if isinstance(key := keys[place], FileKey)]
        return stacked, torch.tensor(order, dtype=torch.int64), names, tuple(errors)


def _spec_of(model: Model) -> dict[str, str | None]:
    """How a model can be loaded again."""
    spec, weights = str(model.source.get("spec", "")), model.source.get("weights")
    file = weights.get("file") if isinstance(weights, dict) and not Path(spec).is_dir() else None
    return {"spec": _absolute(spec), "weights": None if file is None else _absolute(str(file))}


def _absolute(path: str) -> str:
    """A path that is right from any folder; what is no path stays."""
    return str(Path(path).absolute()) if path and Path(path).exists() else path
