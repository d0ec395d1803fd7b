"""Splits of a labelled set, by class and without twins: equal rows or pictures never stand on both sides.

Every class is spread in proportion, within one row, where equal rows allow it; equal rows go together to the side that
has most room for them, so that what is learned by heart is not taken for skill.

M. Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", Journal of the Royal Statistical
Society B 36, 1974. https://doi.org/10.1111/j.2517-6161.1974.tb00994.x
"""

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_count, check_range


@dataclass(frozen=True)
class Split:
    """Positions of the three parts of a set, each in rising order; they share none, and together they are all."""

    train: Tensor  # (N_train,), int64
    val: Tensor  # (N_val,), int64: for every choice; may be empty
    test: Tensor  # (N_test,), int64: looked at once, at the end; may be empty


@dataclass(frozen=True)
class Fold:
    """One of several ways to leave a part of a set out."""

    train: Tensor  # (N - n,), int64
    held: Tensor  # (n,), int64


def split_indices(
    targets: Tensor,
    *,
    val: float = 0.0,
    test: float = 0.2,
    contents: Sequence[Hashable] | None = None,
    generator: torch.Generator | None = None,
) -> Split:
    """Train, val and test parts of a set, every class in proportion.

    Args:
        targets: (N,), int64, at least 0.
        val: share of all rows below 1, or their number from 1 on; 0 for none.
        test: likewise.
        contents: one key for each row, equal for equal rows (see `content_keys`); None takes all rows as different.
        generator: of the choice; None takes one of seed 0.

    Raises:
        ValueError: the parts leave nothing to train on, or a class none of its rows.
    """
    _check_targets(targets)
    sizes = [_rows("val", val, len(targets)), _rows("test", test, len(targets))]
    if sum(sizes) >= len(targets):
        raise ValueError(
            f"val and test must leave rows to train on, got {sizes[0]} + {sizes[1]} of {len(targets)} rows"
        )
    part = _deal(targets, [len(targets) - sum(sizes), *sizes], contents, generator)
    without = set(targets.tolist()) - set(targets[part == 0].tolist())
    if without:
        raise ValueError(
            f"every class must have a row to train on, but class {min(without)} would have none: make val and test "
            "smaller"
        )
    return Split(*(torch.nonzero(part == number)[:, 0] for number in range(3)))


def k_folds(
    targets: Tensor,
    *,
    folds: int = 5,
    contents: Sequence[Hashable] | None = None,
    generator: torch.Generator | None = None,
) -> list[Fold]:
    """K ways to hold a K-th of a set out, every class in proportion; each row is held out once.

    Args:
        targets: (N,), int64, at least 0.
        folds: K, from 2 to the rows of the smallest class.
        contents: as for split_indices.
        generator: of the choice; None takes one of seed 0.

    Raises:
        ValueError: folds is out of range; the class that is too small is named by its number.
    """
    _check_targets(targets)
    check_count("folds", folds, 2)
    counts = targets.bincount()
    small = [number for number, count in enumerate(counts.tolist()) if 0 < count < folds]
    if small:
        raise ValueError(
            f"folds must be at most the rows of the smallest class, got {folds} for class {small[0]} with "
            f"{int(counts[small[0]])}"
        )
    base, more = divmod(len(targets), folds)
    fold = _deal(targets, [base + (number < more) for number in range(folds)], contents, generator)
    return [
        Fold(torch.nonzero(fold != number)[:, 0], torch.nonzero(fold == number)[:, 0])
        for number in range(folds)
        if (fold == number).any()  # equal rows that go together may leave none
    ]


def leave_one_out(count: int, *, contents: Sequence[Hashable] | None = None) -> list[Fold]:
    """N ways to hold a single row out; equal rows are held out together, which makes fewer ways.

    Args:
        count: N, at least 2.
        contents: as for split_indices.
    """
    check_count("count", count, 2)
    groups = torch.from_numpy(_groups(contents, count))
    return [
        Fold(torch.nonzero(groups != number)[:, 0], torch.nonzero(groups == number)[:, 0])
        for number in range(int(groups.max()) + 1)
    ]


def content_keys(values: Tensor) -> list[bytes]:
    """A key for each row of a table or picture of a set, (N, ...): equal where all its numbers are."""
    plain = (values + 0.0 if values.is_floating_point() else values).cpu().contiguous()  # -0 becomes 0
    return [hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in plain]


def stamp_of(values: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, int | str]:
    """Number of the rows or pictures of a set, (N, ...), and the SHA-256 of them and their classes, for a record."""
    told = hashlib.sha256(repr([str(values.dtype), tuple(values.shape), list(classes)]).encode())
    for part in (values, targets):
        told.update(part.cpu().flatten().contiguous().numpy().data)
    return {"count": len(values), "sha256": told.hexdigest()}


def _check_targets(targets: Tensor) -> None:
    if targets.ndim != 1 or targets.dtype != torch.int64 or not len(targets):
        raise ValueError(f"targets must be an int64 tensor (N,), N at least 1, got {targets.dtype} {(*targets.shape,)}")
    if targets.min() < 0:
        raise ValueError(f"targets must be at least 0, got {int(targets.min())}: rows without a class cannot be split")


def _rows(name: str, size: float, count: int) -> int:
    """A size, given as a share or a number, in rows."""
    check_range(name, size, 0)
    if size > count:
        raise ValueError(f"{name} must not be larger than the set, got {size:g} of {count} rows")
    if 1 <= size != int(size):
        raise ValueError(f"{name} must be a share below 1 or a whole number of rows, got {size:g}")
    return int(size) if size >= 1 else round(size * count)


def _deal(
    targets: Tensor, sizes: Sequence[int], contents: Sequence[Hashable] | None, generator: torch.Generator | None
) -> Tensor:
    """(N,), int64: the part each row goes to, parts being of those sizes."""
    source = torch.Generator().manual_seed(0) if generator is None else generator
    order = torch.randperm(len(targets), generator=source, device=source.device).cpu()
    labels = torch.from_numpy(np.unique(targets.cpu().numpy(), return_inverse=True)[1])  # (N,), without gaps
    counts = labels.bincount().numpy()
    shuffled = torch.randperm(len(counts), generator=source, device=source.device).cpu().numpy()
    room = np.empty((len(counts), len(sizes)), dtype=np.int64)
    room[shuffled] = _quotas(counts[shuffled], np.array(sizes))  # shuffled, so that chance gives out the odd rows
    part = torch.full((len(targets),), -1, dtype=torch.int64)
    for rows in _twins(contents, order.tolist()):
        place = int(np.minimum.reduce([room[labels[row]] for row in rows]).argmax())
        for row in rows:
            part[row] = place
            room[labels[row], place] -= 1
    free_rows = order[part[order] < 0]
    by_class = free_rows[labels[free_rows].sort(stable=True).indices]
    free_counts = labels[free_rows].bincount(minlength=len(counts)).tolist()
    for number, free in enumerate(torch.split(by_class, free_counts)):
        places = torch.from_numpy(np.repeat(np.arange(len(sizes)), room[number].clip(min=0)))
        mixed = torch.randperm(len(places), generator=source, device=source.device).cpu()
        part[free] = places[mixed[: len(free)]]
    return part


def _quotas(counts: "np.ndarray", sizes: "np.ndarray") -> "np.ndarray":
    """Whole numbers (K, P) next to counts x sizes / N, whose rows sum to the counts and columns to the sizes.

    All are rounded down first; what is then lacking is one row here and there, where the share was no whole number.
    That such a rounding exists, and that it is a largest flow from classes to parts, is due to L. Cox, "A Constructive
    Procedure for Unbiased Controlled Rounding", Journal of the American Statistical Association 82, 1987.
    """
    from scipy.sparse import block_array, csr_array
    from scipy.sparse.csgraph import maximum_flow

    down, rest = np.divmod(counts[:, None] * sizes, counts.sum())  # (K, P)
    none = csr_array((1, 1), dtype=np.int32)
    out = csr_array([counts - down.sum(axis=1)], dtype=np.int32)  # (1, K), from the source
    ways = csr_array(rest > 0, dtype=np.int32)  # (K, P)
    home = csr_array([sizes - down.sum(axis=0)], dtype=np.int32).T  # (P, 1), into the sink
    nodes = [[none, out, None, None], [None, None, ways, None], [None, None, None, home], [None, None, None, none]]
    capacity = block_array(nodes, format="csr")
    flow = maximum_flow(capacity, 0, capacity.shape[0] - 1).flow
    quotas: np.ndarray = down + flow[1 : 1 + len(counts), 1 + len(counts) : -1].toarray()
    return quotas


def _twins(contents: Sequence[Hashable] | None, order: Sequence[int]) -> list[list[int]]:
    """Rows that are equal to another, in groups, the largest first."""
    if contents is None:
        return []
    groups = _groups(contents, len(order))
    members: dict[int, list[int]] = {}
    for row in order:
        members.setdefault(int(groups[row]), []).append(row)
    return sorted((rows for rows in members.values() if len(rows) > 1), key=len, reverse=True)


def _groups(contents: Sequence[Hashable] | None, count: int) -> "np.ndarray":
    """(N,): the same number for equal rows, numbered as they first appear."""
    if contents is None:
        return np.arange(count)
    if len(contents) != count:
        raise ValueError(f"contents must have one key for each of the {count} rows, got {len(contents)}")
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in contents])
