"""Near-duplicates: pairs of pictures that are the same but for a resize, a crop or a compression, within a set or
across two (what was tested on was trained on).

B. Barz, J. Denzler, "Do We Train on Test Data? Purging CIFAR of Near-Duplicates", Journal of Imaging 6(6), 2020,
section 3: cosine distance of a network's features. https://arxiv.org/abs/1902.00423
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range
from pellucid.progress import steps

from ._distances import DISTANCES, Scale, exact_of
from ._small import small
from .agreement import AT_ONCE, agreement
from .index import Index, as_array
from .normaliser import Rows

BLOCK = 2048
"""Rows that are compared with as many others at a time."""

TINY, EQUAL = 24, 0.99
"""Pixels a side below which pictures must agree as equal ones do, and how much that is."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows that are nearly equal, the nearest first."""

    first: Tensor  # (P,), int64, rows of the first set
    second: Tensor  # (P,), int64, rows of the second set; of one set alone larger than `first`
    distances: Tensor  # (P,), float64
    threshold: float

    def __len__(self) -> int:
        """P."""
        return len(self.first)


def near_duplicates(
    features: Rows,
    others: "Rows | None" = None,
    *,
    threshold: float = 0.1,
    distance: str = "cosine",
    nearest: int | None = None,
    most: int = 100_000,
) -> Pairs:
    """Pairs of pictures whose features are nearly equal, within a set or across two sets.

    Every pair is compared, in blocks. What a distance means differs from network to network: take a wide threshold and
    let `confirmed` look at the pictures themselves, or look at the pairs near the threshold.

    Args:
        features: (N, D), float, finite, such as a Store's rows.
        others: (M, D), of another set, such as the test set of a training set; none compares the set with itself.
        threshold: the largest distance of a pair, at least 0.
        distance: cosine (in [0, 2]), mse or l1.
        nearest: only pairs of a row and its so many nearest, at least 1; none takes all.
        most: pairs told, at least 1; more are refused.

    Returns:
        The pairs, of equal distances those of lower rows first.

    Raises:
        ValueError: no finite matrices of one width, or more pairs than `most`.
    """
    check_choice("distance", distance, DISTANCES)
    check_range("threshold", threshold, 0)
    check_count("most", most, 1)
    first = as_array(features)
    second = first if others is None else as_array(others)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"others must have the {first.shape[1]} columns of features, got {second.shape[1]}")
    if nearest is not None:
        return _of_nearest(first, None if others is None else second, threshold, distance, nearest)
    scale = Scale(first, distance)
    rows: list[np.ndarray] = []  # (p, 2)
    fars: list[np.ndarray] = []
    with steps("near-duplicates", len(first)) as done:
        for start in range(0, len(first), BLOCK):
            for begin in range(start if others is None else 0, len(second), BLOCK):
                some, more = first[start : start + BLOCK], second[begin : begin + BLOCK]
                for pairs in _candidates(some, more, scale, threshold):
                    if others is None and start == begin:
                        pairs = pairs[pairs[:, 0] < pairs[:, 1]]  # noqa: PLW2901
                    far = exact_of(some[pairs[:, 0]], more, pairs[:, 1:], distance)[:, 0]
                    kept = far <= threshold
                    rows.append(pairs[kept] + [start, begin])
                    fars.append(far[kept])
                _check_most(sum(map(len, fars)), most, threshold)
            done(min(BLOCK, len(first) - start))
    return _sorted(np.concatenate(rows), np.concatenate(fars), threshold)


def confirmed(
    pairs: Pairs,
    read: Callable[[int], Tensor],
    read_other: Callable[[int], Tensor] | None = None,
    *,
    least: float = 0.85,
) -> Pairs:
    """The pairs whose pictures themselves agree, see `agreement`; each picture is read once.

    Pictures with a side below 24 pixels have no detail to agree in, where two of a kind already look alike: they must
    agree by 0.99, that is, be equal but for compression.

    Args:
        pairs: that may be the same.
        read: from a row of the first set to its image (C, H, W), float, in [0, 1].
        read_other: likewise of the second set; none where the pairs are of one set.
        least: agreement, in [-1, 1], from which on pictures are the same but for size, compression or a little crop.
    """
    check_range("least", least, -1, 1)
    readers = (read, read_other or read)
    kept: list[dict[int, tuple[Tensor, bool]]] = [{}, {}] if read_other else [{}] * 2
    agreed = [torch.zeros(0, dtype=torch.bool)]
    with steps("comparing pictures", len(pairs)) as done:
        for start in range(0, len(pairs), AT_ONCE):
            sides, tiny = [], []
            for rows, reader, held in zip((pairs.first, pairs.second), readers, kept, strict=True):
                some = rows[start : start + AT_ONCE].tolist()
                for row in some:
                    if row not in held:
                        image = reader(row)
                        held[row] = small(image), min(image.shape[-2:]) < TINY
                sides.append(torch.stack([held[row][0] for row in some]))
                tiny.append(torch.tensor([held[row][1] for row in some]))
            needed = torch.where(tiny[0] | tiny[1], max(least, EQUAL), least)
            agreed.append(agreement(*sides) >= needed)
            done(len(sides[0]))
    which = torch.cat(agreed)
    return Pairs(pairs.first[which], pairs.second[which], pairs.distances[which], pairs.threshold)


def groups(pairs: Pairs, count: int) -> list[list[int]]:
    """Rows of one set that are joined by pairs, directly or through others: each group rising, the largest first.

    Args:
        pairs: of one set with itself.
        count: N, rows of the set.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = (pairs.first.numpy(), pairs.second.numpy())
    names = connected_components(coo_array((np.ones(len(pairs)), ends), shape=(count, count)), directed=False)[1]
    members: dict[int, list[int]] = {}
    for row in np.unique(np.concatenate(ends)).tolist():
        members.setdefault(int(names[row]), []).append(row)
    return sorted(members.values(), key=lambda one: (-len(one), one))


def _of_nearest(first: np.ndarray, others: np.ndarray | None, threshold: float, distance: str, nearest: int) -> Pairs:
    """Pairs of a row and its nearest; across sets those of the second set's rows."""
    check_count("nearest", nearest, 1, len(first) - (others is None))
    index = Index(distance=distance).fit(first)
    asked = first if others is None else others
    own = torch.arange(len(first)) if others is None else None
    found = [
        index.search(
            asked[start : start + BLOCK], k=nearest, exclude=None if own is None else own[start : start + BLOCK]
        )
        for start in range(0, len(asked), BLOCK)
    ]
    far = torch.cat([one.distances for one in found]).numpy()
    rows = torch.cat([one.rows for one in found]).numpy()
    pairs = np.stack([rows, np.broadcast_to(np.arange(len(asked))[:, None], rows.shape)], axis=2)[far <= threshold]
    if others is None:
        pairs, places = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
        return _sorted(pairs, far[far <= threshold][places], threshold)
    return _sorted(pairs, far[far <= threshold], threshold)


def _sorted(pairs: np.ndarray, far: np.ndarray, threshold: float) -> Pairs:
    """The nearest first, of equal distances those of lower rows."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0], far))
    found = torch.from_numpy(pairs[order])
    return Pairs(found[:, 0].contiguous(), found[:, 1].contiguous(), torch.from_numpy(far[order]), threshold)


def _candidates(some: np.ndarray, more: np.ndarray, scale: Scale, threshold: float) -> Iterator[np.ndarray]:
    """Pairs (p, 2) of places in two blocks that may be as near as the threshold, a few rows at a time."""
    left, right = torch.from_numpy(scale.put(some)), torch.from_numpy(scale.put(more))
    if scale.distance == "l1":
        step = max(1, 2**24 // max(1, right.numel()))
        for start in range(0, len(left), step):
            far = torch.cdist(left[start : start + step], right, p=1)
            pairs = torch.nonzero(far <= 1.0001 * threshold / scale.size + 1e-4 * left.shape[1] * 2**-20)
            yield (pairs + torch.tensor([start, 0])).numpy()
        return
    lengths, others = left.square().sum(dim=1), right.square().sum(dim=1)
    far = torch.addmm(lengths[:, None] + others, left, right.T, alpha=-2)
    limit = threshold * {"cosine": 2.0, "mse": some.shape[1] / scale.size**2}[scale.distance]
    slack = 2.0**-23 * (left.shape[1] / 8 + 16) * (lengths.max().sqrt() + others.max().sqrt()) ** 2
    yield torch.nonzero(far <= limit + slack).numpy()


def _check_most(count: int, most: int, threshold: float) -> None:
    if count > most:
        raise ValueError(
            f"pairs must be at most most = {most:,}, but over {count:,} lie within {threshold:g}: lower the threshold, "
            "or raise most"
        )
