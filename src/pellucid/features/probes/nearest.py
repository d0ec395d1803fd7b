"""Nearest rows, exactly: by brute force in blocks, equal rows at distance 0, equal distances in the order of the rows.

|a - b|^2 = |a|^2 + |b|^2 - 2 a.b in float64 finds who may be among the nearest; their distances are then taken anew
from the differences, for where rows are near each other the three terms nearly cancel.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.features.normaliser import Rows, as_rows

DISTANCES = ("euclidean", "cosine")

AT_ONCE = 2**23
"""Distances, and values of rows in float64, held at a time."""

ROUNDING = 1e-9
"""What the terms may lose, relative to the squared norms: rows within it of the k-th nearest are looked at anew."""


@dataclass(frozen=True)
class Nearest:
    """The nearest of some rows to each query, the nearest first."""

    indices: Tensor  # (M, k), int64
    distances: Tensor  # (M, k), float64, Euclidean, or 1 - cosine; exactly 0 for an equal row


def nearest(
    rows: Rows,
    queries: "Rows | None" = None,
    *,
    neighbours: int = 1,
    distance: str = "euclidean",
) -> Nearest:
    """The rows that are nearest to each query, exactly.

    Args:
        rows: (N, D), float, finite.
        queries: (M, D), float, finite; None asks each row for the nearest among the others (leave one out).
        neighbours: k, from 1 to N (N - 1 where each row is left out).
        distance: euclidean, or cosine, which is 1 - cos, from 0 to 2; a row of zeros then has cosine 0 with any.

    Raises:
        ValueError: an argument is out of its range, or the two have different dimensions.
    """
    check_choice("distance", distance, DISTANCES)
    known = as_rows(rows)
    wanted = known if queries is None else as_rows(queries)
    if wanted.shape[1] != known.shape[1]:
        raise ValueError(f"queries must have the {known.shape[1]} columns of the rows, got {wanted.shape[1]}")
    check_count("neighbours", neighbours, 1, max(1, len(known) - (queries is None)))
    if queries is None and len(known) == 1:
        raise ValueError("rows must be at least 2 to leave each out, got 1")
    is_cosine = distance == "cosine"
    found = []
    for start in range(0, len(wanted), _queries_at_once(known)):
        some = _wide(wanted[start : start + _queries_at_once(known)], is_cosine=is_cosine)
        left_out = torch.arange(start, start + len(some), device=known.device) if queries is None else None
        found.append(_nearest(known, some, neighbours, left_out, is_cosine=is_cosine))
    indices, squares = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Nearest(indices, squares / 2 if is_cosine else squares.sqrt())


def _queries_at_once(rows: Tensor) -> int:
    return max(1, AT_ONCE // max(rows.shape))


def _wide(rows: Tensor, *, is_cosine: bool) -> Tensor:
    """Rows in float64; for the cosine of length 1, where |a - b|^2 = 2 (1 - cos)."""
    return F.normalize(rows.double(), dim=1, eps=1e-300) if is_cosine else rows.double()


def _nearest(
    rows: Tensor, queries: Tensor, neighbours: int, left_out: Tensor | None, *, is_cosine: bool
) -> tuple[Tensor, Tensor]:
    """Indices and squared distances, (m, k) each."""
    squares, norms = _squared_distances(rows, queries, is_cosine=is_cosine)  # (m, N), (m, N)
    if left_out is not None:
        squares[torch.arange(len(queries), device=rows.device), left_out] = torch.inf
    last = squares.kthvalue(neighbours, dim=1, keepdim=True).values
    query, row = (squares <= last + ROUNDING * norms).nonzero(as_tuple=True)  # in the order of queries, then rows
    exact = torch.cat(
        [
            (_wide(rows[some], is_cosine=is_cosine) - queries[of]).square().sum(dim=1)
            for some, of in zip(*(torch.split(one, _queries_at_once(rows)) for one in (row, query)), strict=True)
        ]
    )
    order = exact.argsort(stable=True)
    order = order[query[order].argsort(stable=True)]  # by query, then distance, then row
    first = torch.searchsorted(query, torch.arange(len(queries), device=rows.device))
    kept = order[first[:, None] + torch.arange(neighbours, device=rows.device)]
    return row[kept], exact[kept]


def _squared_distances(rows: Tensor, queries: Tensor, *, is_cosine: bool) -> tuple[Tensor, Tensor]:
    """Squared distances (m, N), rounded, and the squared norms (m, N) that they are the difference of."""
    at_once = max(1, AT_ONCE // rows.shape[1])
    length = queries.square().sum(dim=1, keepdim=True)
    squares, norms = [], []
    for part in torch.split(rows, at_once):
        wide = _wide(part, is_cosine=is_cosine)
        total = length + wide.square().sum(dim=1)
        squares.append((total - 2 * queries @ wide.T).clamp_(min=0))
        norms.append(total)
    return torch.cat(squares, dim=1), torch.cat(norms, dim=1)
