"""Where features come from: a trained network, the same network with random weights, or the pixels themselves.

The same images and the same classifier, which learns nothing (R. Duda, P. Hart, "Pattern Classification and Scene
Analysis", 1973, section 4.6), so that what differs is the space alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from torch import Tensor

from pellucid.features.normaliser import Rows
from pellucid.metrics import proportion
from pellucid.metrics.classification import Interval

from ._labelled import check_labels
from .nearest import Nearest
from .nearest_neighbours import NearestNeighbours


@dataclass(frozen=True)
class OriginScore:
    """How well nearest neighbours do on features of one origin."""

    origin: str
    dimension: int  # D
    draws: tuple[Interval, ...]  # test accuracy in [0, 1] of each draw, with Wilson's 95 % interval
    neighbours: tuple[Nearest, ...]  # the training rows nearest to each test row, (M, k), of each draw

    @property
    def accuracy(self) -> float:
        """Mean over the draws, in [0, 1]."""
        return fmean(one.value for one in self.draws)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the draws (divided by their number less 1); None of a single one."""
        return stdev(one.value for one in self.draws) if len(self.draws) > 1 else None


def compare_origins(
    origins: Mapping[str, Sequence[tuple[Rows, Rows]]],
    targets: Tensor,
    test_targets: Tensor,
    *,
    neighbours: int = 1,
    distance: str = "euclidean",
    normalise: str = "l2",
) -> tuple[OriginScore, ...]:
    """Nearest neighbours on features of several origins, of the same images in the same order.

    Args:
        origins: for each the training rows (N, D) and test rows (M, D), of one draw or of several (random weights).
        targets: (N,), whole numbers, at least two different ones.
        test_targets: (M,).
        neighbours: k, from 1 to N.
        distance: euclidean or cosine.
        normalise: none, l2, standard or minmax, the same for all origins.

    Raises:
        ValueError: an argument is not so; told with the origin.
    """
    probe = NearestNeighbours(neighbours=neighbours, distance=distance, normalise=normalise)
    found = []
    for origin, draws in origins.items():
        if not draws:
            raise ValueError(f"origin {origin!r}: must have at least one draw, got none")
        shares, nearest = [], []
        for train, test in draws:
            try:
                fitted = probe.fit(train, targets)
                near = fitted.nearest(test)
                wanted = check_labels(test_targets, len(near.indices))
            except ValueError as error:
                raise ValueError(f"origin {origin!r}: {error}") from error
            hits = int((fitted.labels(near).cpu() == wanted.cpu()).sum())
            shares.append(proportion(hits, len(wanted)))
            nearest.append(near)
        found.append(OriginScore(origin, int(fitted.rows_.shape[1]), tuple(shares), tuple(nearest)))
    return tuple(found)
