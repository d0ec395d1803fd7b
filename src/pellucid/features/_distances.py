"""How far rows of features lie from each other: quickly in float32 to find candidates, then exactly in float64."""

import math
from collections.abc import Iterator

import numpy as np

DISTANCES = ("mse", "cosine", "l1")
"""Mean squared difference; 1 less the cosine of the angle, in [0, 2]; sum of absolute differences."""

AT_ONCE = 2**24
"""Values of the rows that are looked at together."""


class Scale:
    """Brings rows to where float32 tells them apart: around the known rows' mean, and of their size.

    Args:
        rows: (N, D), float32, that are known.
        distance: see DISTANCES.
    """

    def __init__(self, rows: np.ndarray, distance: str) -> None:
        self.distance = distance
        self.shift = np.zeros(rows.shape[1], dtype=np.float32)
        self.size = 1.0
        if distance == "mse":
            sums = [part.sum(axis=0, dtype=np.float64) for part in parts(rows)]
            self.shift = (np.sum(sums, axis=0) / len(rows)).astype(np.float32)
        if distance != "cosine":
            largest = max(float(np.abs(part - self.shift).max()) for part in parts(rows))
            self.size = 2.0 ** math.frexp(largest)[1]  # a power of two, so that dividing by it costs nothing

    def put(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, D) as rows (n, d), float32, whose Euclidean distances (for l1 the sums) have the right order."""
        if self.distance == "cosine":
            return directions(rows).astype(np.float32)
        made: np.ndarray = rows - self.shift
        made *= np.float32(1 / self.size)
        return made

    def back(self, found: np.ndarray) -> np.ndarray:
        """What faiss measured between rows put so, as if between the rows themselves: squared, or a sum."""
        made: np.ndarray = found.astype(np.float64) * (self.size if self.distance == "l1" else self.size**2)
        return made


def directions(rows: np.ndarray) -> np.ndarray:
    """Rows (n, D) of length 1 as (n, D + 1), float64; rows of zeros share a direction of their own."""
    wide = rows.astype(np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True)
    is_empty = largest == 0
    wide /= np.where(is_empty, 1, largest)
    wide /= np.where(is_empty, 1, np.linalg.norm(wide, axis=1, keepdims=True))
    return np.concatenate([wide, is_empty], axis=1)


def exact(asked: np.ndarray, rows: np.ndarray, distance: str) -> np.ndarray:
    """Distances (Q, C), float64, of rows asked about, (Q, D), from rows (Q, C, D); of equal rows exactly 0."""
    if distance == "cosine":
        sides = directions(rows.reshape(-1, rows.shape[-1])).reshape(*rows.shape[:2], -1)
        found: np.ndarray = np.square(sides - directions(asked)[:, None]).sum(axis=2) / 2
        return found
    apart = rows.astype(np.float64) - asked[:, None]
    found = np.abs(apart).sum(axis=2) if distance == "l1" else np.square(apart).mean(axis=2)
    return np.asarray(found)


def exact_of(asked: np.ndarray, known: np.ndarray, candidates: np.ndarray, distance: str) -> np.ndarray:
    """Distances (Q, C), float64, of rows asked about, (Q, D), from rows of the known (N, D), (Q, C); inf where -1."""
    found = np.empty(candidates.shape)
    step = max(1, AT_ONCE // max(1, candidates.shape[1] * known.shape[1]))
    for start in range(0, len(asked), step):
        some = slice(start, start + step)
        found[some] = exact(asked[some], known[candidates[some]], distance)
    found[candidates < 0] = np.inf
    return found


def between(asked: np.ndarray, rows: np.ndarray, distance: str) -> np.ndarray:
    """Distances (Q, N), float64, of rows asked about, (Q, D), from all rows (N, D): right but for rounding."""
    if distance == "l1":
        from scipy.spatial.distance import cdist

        near = [cdist(asked, part, "cityblock") for part in parts(rows)]
        return np.concatenate(near, axis=1)
    shift = asked.mean(axis=0, dtype=np.float64)
    turned = directions(asked) if distance == "cosine" else asked - shift
    unit = 2.0 if distance == "cosine" else asked.shape[1]
    near = []
    for part in parts(rows):
        other = directions(part) if distance == "cosine" else part - shift
        squares = np.square(turned).sum(axis=1)[:, None] + np.square(other).sum(axis=1) - 2 * turned @ other.T
        near.append(squares.clip(min=0) / unit)
    return np.concatenate(near, axis=1)


def parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows (N, D) a few at a time, read from the disk where they lie there."""
    step = max(1, AT_ONCE // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
