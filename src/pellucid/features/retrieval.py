"""How good a search is, told by labels: precision and recall among the first k, and mean average precision.

C. Manning, P. Raghavan, H. Schuetze, "Introduction to Information Retrieval", 2008, chapter 8.
https://nlp.stanford.edu/IR-book/
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.progress import steps

from ._distances import DISTANCES, between
from .index import as_array
from .normaliser import Rows

AT_ONCE = 64
"""Rankings that are held at a time."""


@dataclass(frozen=True)
class Retrieval:
    """Rankings of all other rows, one for each row asked about, judged by labels."""

    asked: Tensor  # (Q,), int64, the rows asked about: those of whose class there is another row
    precision: Tensor  # (Q,), float64, in [0, 1]: share of the first k that are of its class
    recall: Tensor  # (Q,), float64, in [0, 1]: share of its class that is among the first k
    average_precision: Tensor  # (Q,), float64, in [0, 1]: mean of the precision at each row of its class
    chance: float  # what an order by chance gives as precision: the mean share of a class among the others
    k: int

    @property
    def mean_average_precision(self) -> float:
        """In [0, 1]; 1: all rows of a class come before all others."""
        return float(self.average_precision.mean())


def retrieval(
    features: Rows,
    targets: Tensor,
    *,
    k: int = 10,
    distance: str = "mse",
    queries: int = 1000,
    generator: torch.Generator | None = None,
) -> Retrieval:
    """How well the order of distances brings rows of one class together; a row is never its own neighbour.

    Args:
        features: (N, D), float, finite.
        targets: (N,), int64, the class of each row; rows with -1 have none, and are left out.
        k: first neighbours that are counted, from 1 to N - 1.
        distance: mse, cosine or l1.
        queries: rows asked about, drawn; all where there are fewer.
        generator: of the draw; None takes one of seed 0.

    Raises:
        ValueError: targets that do not fit, or no class of two rows.
    """
    check_choice("distance", distance, DISTANCES)
    check_count("queries", queries, 1)
    rows, labels = as_array(features), _labels(targets, len(features))
    known = np.flatnonzero(labels >= 0)
    rows, labels = (rows, labels) if len(known) == len(rows) else (rows[known], labels[known])
    check_count("k", k, 1, len(rows) - 1)
    alike = np.bincount(labels)[labels] - 1  # (N,), others of its class
    able = np.flatnonzero(alike > 0)
    if not len(able):
        raise ValueError("targets must give some class two rows at least, got none")
    source = torch.Generator().manual_seed(0) if generator is None else generator
    drawn = torch.randperm(len(able), generator=source, device=source.device)[:queries].cpu().sort().values
    asked = able[drawn.numpy()]
    parts = []
    with steps("ranking", len(asked)) as done:
        for some in np.split(asked, range(AT_ONCE, len(asked), AT_ONCE)):
            parts.append(_judged(between(rows[some], rows, distance), labels, some, k))
            done(len(some))
    found = np.concatenate(parts)  # (Q, 3)
    precision, recall, average = (torch.from_numpy(column.copy()) for column in found.T)
    chance = float((alike[asked] / (len(rows) - 1)).mean())
    return Retrieval(torch.from_numpy(known[asked]), precision, recall, average, chance, k)


def _judged(far: np.ndarray, labels: np.ndarray, asked: np.ndarray, k: int) -> np.ndarray:
    """(q, 3): precision, recall and average precision of the rankings that distances (q, N) make."""
    far[np.arange(len(asked)), asked] = -1  # itself comes first, and is not counted
    order = np.argsort(far, axis=1, kind="stable")[:, 1:]
    hits = labels[order] == labels[asked][:, None]  # (q, N - 1)
    counts = hits.sum(axis=1)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    average = (precisions * hits).sum(axis=1) / counts
    found: np.ndarray = np.stack([hits[:, :k].mean(axis=1), hits[:, :k].sum(axis=1) / counts, average], axis=1)
    return found


def _labels(targets: Tensor, count: int) -> np.ndarray:
    if not isinstance(targets, Tensor) or targets.dtype != torch.int64 or targets.shape != (count,):
        given = (targets.dtype, tuple(targets.shape)) if isinstance(targets, Tensor) else type(targets).__name__
        raise ValueError(f"targets must be int64 ({count},), one for each row, got {given}")
    found: np.ndarray = targets.cpu().numpy()
    return found
