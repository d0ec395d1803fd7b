"""Index: rows of features, searched for those nearest to others.

J. Johnson, M. Douze, H. Jegou, "Billion-scale similarity search with GPUs", IEEE Transactions on Big Data 7(3), 2021,
whose library finds the candidates. https://arxiv.org/abs/1702.08734
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

from . import _structures
from ._distances import DISTANCES, Scale, exact_of, parts
from .normaliser import Rows, as_rows

SPARE = 22
"""Candidates that are measured exactly besides the k that are asked for."""

ROUNDING = 2.0**-24
"""Of one operation in float32, relative."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each row asked about, the nearest first; of equal distances the lower row first."""

    rows: Tensor  # (Q, k), int64, rows of the index; -1 where an approximate search found fewer
    distances: Tensor  # (Q, k), float64, in the index's distance; inf where the row is -1


class Index:
    """Rows of features to be searched: every row looked at (exact), cells of near rows (ivf), or a graph (hnsw).

    Whatever finds them, the distances told are exact: between equal rows 0.

    Learned: features_ (N, D), float32, the rows; structure_, what faiss made of them.

    Args:
        kind: exact, ivf or hnsw; the last two may miss some of the nearest, see `recall`.
        distance: mse (mean squared difference, the order of Euclid's), cosine (1 less the cosine), or l1 (a sum).
        cells: of ivf, at least 1; none takes 4 times the root of the number of rows, fewer for few rows.
        probes: cells of ivf that a search looks into, at least 1: more find more, and cost more.
        links: of hnsw, from each row to others, at least 2.
        effort: of hnsw, rows kept in view while searching, at least 1: more find more, and cost more.
    """

    def __init__(
        self,
        *,
        kind: str = "exact",
        distance: str = "mse",
        cells: int | None = None,
        probes: int = 16,
        links: int = 32,
        effort: int = 128,
    ) -> None:
        check_choice("kind", kind, _structures.KINDS)
        check_choice("distance", distance, DISTANCES)
        if cells is not None:
            check_count("cells", cells, 1)
        check_count("probes", probes, 1)
        check_count("links", links, 2, 512)
        check_count("effort", effort, 1)
        self.kind, self.distance = kind, distance
        self.cells, self.probes, self.links, self.effort = cells, probes, links, effort

    def __len__(self) -> int:
        """Rows."""
        return len(self.features_) if hasattr(self, "features_") else 0

    def fit(self, features: Rows, *, generator: torch.Generator | None = None) -> "Index":
        """Take rows to be found, in the place of any that were there.

        Args:
            features: (N, D), float, finite; an array that lies on the disk stays there, what exact searches is not
                copied.
            generator: of the centres that ivf begins with; None takes one of seed 0.

        Raises:
            ValueError: no finite matrix.
        """
        rows = as_array(features)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        seed = int(torch.randint(2**31 - 1, (), generator=source, device=source.device))
        scale = Scale(rows, self.distance)
        made = _structures.built(self.kind, rows, scale, cells=self.cells, links=self.links, seed=seed)
        return self._take(rows, made, scale)

    def take(self, features: "np.ndarray", structure: Any) -> "Index":
        """Rows (N, D), float32, with the structure that was built of them before; see `ImageIndex`."""
        return self._take(features, structure, Scale(features, self.distance))

    def add(self, features: Rows) -> "Index":
        """Put rows (n, D) behind those there; cells and links that were learned stay."""
        if not len(self):
            return self.fit(features)
        rows = self._asked(features)
        if self.structure_ is not None:
            _structures.extend(self.structure_, rows, self._scale)
        return self._take(np.concatenate([self.features_, rows]), self.structure_, self._scale)

    def search(self, features: Rows, *, k: int = 10, exclude: Tensor | None = None) -> Neighbours:
        """The k nearest rows of each row asked about.

        Args:
            features: (Q, D), float, of the source the index's rows are of.
            k: rows for each, from 1 to those there are.
            exclude: (Q,), int64, a row for each that is left out, such as itself; -1 for none.

        Raises:
            ValueError: the index is empty, k or the dimension does not fit, or features are no finite matrix.
        """
        asked = self._asked(features)
        check_count("k", k, 1, len(self) - (exclude is not None))
        device = features.device if isinstance(features, Tensor) else torch.device("cpu")
        without = None if exclude is None else _check_exclude(exclude, len(asked), len(self))
        wanted = k + (exclude is not None)
        rows, far = self._exact(asked, wanted) if self.structure_ is None else self._approximate(asked, wanted)
        if without is not None:
            far = np.where(rows == without[:, None], np.inf, far)
            rows = np.where(rows == without[:, None], -1, rows)
        order = np.lexsort((np.where(rows < 0, len(self), rows), far), axis=1)[:, :k]
        found = np.take_along_axis(rows, order, 1), np.take_along_axis(far, order, 1)
        return Neighbours(*(torch.from_numpy(part).to(device) for part in found))

    def recall(self, *, k: int = 10, queries: int = 200, generator: torch.Generator | None = None) -> float:
        """Share of the k truly nearest that a search finds, in [0, 1], asked about some of the rows, themselves apart.

        Args:
            k: nearest rows, from 1.
            queries: rows asked about, drawn; all where there are fewer.
            generator: of the draw; None takes one of seed 0.
        """
        check_count("k", k, 1, len(self) - 1)
        check_count("queries", queries, 1)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        drawn = torch.randperm(len(self), generator=source, device=source.device)[:queries].cpu().sort().values
        asked = self.features_[drawn.numpy()]
        limit = np.sort(self._exact(asked, k + 1)[1], axis=1)[:, k : k + 1]  # the nearest of all is itself, at 0
        found = self.search(asked, k=k, exclude=drawn)
        return float((found.distances.numpy() <= limit).mean())

    def _take(self, rows: np.ndarray, structure: Any, scale: Scale) -> "Index":
        self.features_, self.structure_, self._scale = rows, structure, scale
        norms = [np.square(scale.put(part), dtype=np.float64).sum(axis=1).max() for part in parts(rows)]
        self._reach = float(max(norms)) ** 0.5
        return self

    def _asked(self, features: Rows) -> np.ndarray:
        if not len(self):
            raise ValueError("the index must hold rows before it is searched: call fit(features)")
        rows = as_array(features)
        if rows.shape[1] != self.features_.shape[1]:
            raise ValueError(
                f"features must have the {self.features_.shape[1]} columns of the index, got {rows.shape[1]}: are they "
                "of the same model, layer and pooling?"
            )
        return rows

    def _approximate(self, asked: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidates of the structure, and their exact distances (Q, C)."""
        count = min(len(self), k + SPARE)
        put = self._scale.put(asked)
        rows = _structures.near(self.structure_, put, count, probes=self.probes, effort=self.effort)
        return rows, exact_of(asked, self.features_, rows, self.distance)

    def _exact(self, asked: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Candidates that hold the k nearest for certain, and their exact distances (Q, C), C at least k.

        A row that is no candidate is further in float32 than the last of them; where that, less what rounding may
        have done, is beyond the k-th exact distance, none is missing. Else more candidates are taken.
        """
        count = min(len(self), k + SPARE)
        put = self._scale.put(asked)
        while True:
            rows, near = _structures.nearest(self.features_, put, self._scale, count)
            far = exact_of(asked, self.features_, rows, self.distance)
            if count == len(self):
                return rows, far
            kth = np.partition(far, k - 1, axis=1)[:, k - 1] * self._unit
            beyond = self._scale.back(near[:, -1] - self._slack(put, near[:, -1]))
            if bool((kth < beyond).all()):
                return rows, far
            count = min(len(self), 8 * count)

    @property
    def _unit(self) -> float:
        """What an exact distance is to be multiplied with, to be a squared distance or a sum."""
        return {"mse": float(self.features_.shape[1]), "cosine": 2.0, "l1": 1.0}[self.distance]

    def _slack(self, put: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(Q,): how wrong distances may be that were found in float32; sums run in at least eight lanes."""
        steps = ROUNDING * (put.shape[1] / 8 + 16)
        if self.distance == "l1":
            size = np.abs(put).sum(axis=1, dtype=np.float64) + near
            return np.asarray(2 * steps * size)
        norms = np.sqrt(np.square(put, dtype=np.float64).sum(axis=1))
        return np.asarray(2 * steps * np.square(norms + self._reach))


def _check_exclude(exclude: Tensor, asked: int, count: int) -> np.ndarray:
    if exclude.dtype != torch.int64 or exclude.shape != (asked,):
        raise ValueError(f"exclude must be int64 ({asked},), got {exclude.dtype} {tuple(exclude.shape)}")
    found: np.ndarray = exclude.cpu().numpy()
    if len(found) and not (found.min() >= -1 and found.max() < count):
        raise ValueError(f"exclude must be rows in [-1, {count - 1}], got {found.min()} to {found.max()}")
    return found


def as_array(features: Rows) -> np.ndarray:
    """(N, D), float32, finite; an array that is float32 already, as on the disk, is not copied."""
    if isinstance(features, np.ndarray) and features.dtype == np.float32 and features.ndim == 2 and features.size:
        start = 0
        for part in parts(features):
            if not np.isfinite(part).all():
                row = int(np.argwhere(~np.isfinite(part))[0, 0]) + start
                raise ValueError(f"features must be finite, got NaN or an infinite value in row {row}")
            start += len(part)
        return features
    found: np.ndarray = as_rows(features).cpu().numpy()
    return found
