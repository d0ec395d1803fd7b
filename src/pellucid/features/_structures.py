"""What makes a search faster than looking at every row: cells of near rows (IVF), and a graph of neighbours (HNSW).

J. Sivic, A. Zisserman, "Video Google: A Text Retrieval Approach to Object Matching in Videos", ICCV 2003 (inverted
files). https://doi.org/10.1109/ICCV.2003.1238663
Y. Malkov, D. Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small
World graphs", IEEE TPAMI 42(4), 2020. https://arxiv.org/abs/1603.09320
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ._distances import AT_ONCE, Scale, parts

KINDS = ("exact", "ivf", "hnsw")

LEAST = 39
"""Rows a cell, at least, that faiss wants for finding its centre."""


def built(kind: str, rows: np.ndarray, scale: Scale, *, cells: int | None, links: int, seed: int) -> Any:
    """The structure of rows (N, D); None of the kind exact."""
    import faiss

    if kind == "exact":
        return None
    dimension = rows.shape[1] + (scale.distance == "cosine")
    metric = faiss.METRIC_L1 if scale.distance == "l1" else faiss.METRIC_L2
    if kind == "ivf":
        count = cells or max(1, min(round(4 * len(rows) ** 0.5), len(rows) // LEAST))
        made: Any = faiss.IndexIVFFlat(faiss.IndexFlat(dimension, metric), dimension, min(count, len(rows)), metric)
        made.cp.seed, made.cp.min_points_per_centroid = seed, 1  # faiss would print a warning
        made.train(scale.put(_spread(rows, made.nlist * made.cp.max_points_per_centroid)))
    else:
        made = faiss.IndexHNSWFlat(dimension, links, metric)
        made.hnsw.efConstruction = max(100, 2 * links)
    extend(made, rows, scale)
    return made


def extend(structure: Any, rows: np.ndarray, scale: Scale) -> None:
    """Put rows (n, D) behind those a structure holds; in one thread, for the graph depends on the order."""
    with _one_thread():
        for part in parts(rows):
            structure.add(scale.put(part))


def near(structure: Any, asked: np.ndarray, count: int, *, probes: int, effort: int) -> np.ndarray:
    """Candidates (Q, count), int64, for rows (Q, d) as the scale puts them; -1 where it finds fewer."""
    if hasattr(structure, "hnsw"):
        structure.hnsw.efSearch = max(min(effort, structure.ntotal), count)
    else:
        structure.nprobe = min(probes, structure.nlist)
    found: np.ndarray = structure.search(asked, count)[1]
    return found


def nearest(known: np.ndarray, asked: np.ndarray, scale: Scale, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The candidates (Q, count) nearest in float32 among all rows (N, D), and how far: squared, or the sum for l1."""
    import faiss

    metric = faiss.METRIC_L1 if scale.distance == "l1" else faiss.METRIC_L2
    best_far = np.full((len(asked), 0), np.inf, dtype=np.float32)
    best = np.zeros((len(asked), 0), dtype=np.int64)
    start = 0
    for part in parts(known):
        far, rows = faiss.knn(asked, scale.put(part), min(count, len(part)), metric=metric)
        best_far, best = np.concatenate([best_far, far], axis=1), np.concatenate([best, rows + start], axis=1)
        kept = np.argsort(best_far, axis=1, kind="stable")[:, :count]
        best_far, best = np.take_along_axis(best_far, kept, 1), np.take_along_axis(best, kept, 1)
        start += len(part)
    return best, best_far


def write(structure: Any, path: Path) -> None:
    """Into a file."""
    import faiss

    faiss.write_index(structure, str(path))


def read(path: Path, kind: str, count: int, dimension: int) -> Any:
    """From a file; ValueError where it is not a structure of so many rows."""
    import faiss

    try:
        made = faiss.read_index(str(path))
    except RuntimeError as error:
        raise ValueError(f"{path}: is damaged; index the pictures again") from error
    classes = {"ivf": faiss.IndexIVFFlat, "hnsw": faiss.IndexHNSWFlat}
    if not isinstance(made, classes[kind]) or (made.ntotal, made.d) != (count, dimension):
        raise ValueError(f"{path}: must be of kind {kind} with {count} rows of {dimension}; index the pictures again")
    return made


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly over all."""
    most = max(1, min(most, 8 * AT_ONCE // rows.shape[1]))
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
