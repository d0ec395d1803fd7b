"""k nearest neighbours: a row has the class of those it is near to; nothing is learned, which shows the space itself.

T. Cover, P. Hart, "Nearest Neighbor Pattern Classification", IEEE Transactions on Information Theory 13, 1967.
https://doi.org/10.1109/TIT.1967.1053964
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_choice, check_count
from pellucid.features.normaliser import Normaliser, Rows

from ._labelled import asked, labelled
from .nearest import DISTANCES, Nearest, nearest


class NearestNeighbours:
    """The class of most of the k nearest training rows; where votes are equal, of those that are nearer.

    Learned: rows_ (N, D), float32, normalised; targets_ (N,), int64; classes_ (K,), int64; normaliser_.

    Args:
        neighbours: k, at least 1 and at most the rows fitted on.
        distance: euclidean or cosine.
        normalise: none, l2, standard or minmax; with l2 the two distances have one order.
    """

    def __init__(self, *, neighbours: int = 1, distance: str = "euclidean", normalise: str = "l2") -> None:
        check_count("neighbours", neighbours, 1)
        check_choice("distance", distance, DISTANCES)
        self.neighbours = neighbours
        self.distance = distance
        self.normalise = normalise

    def fit(self, features: Rows, targets: Tensor) -> "NearestNeighbours":
        """Keep the training rows.

        Args:
            features: (N, D), float, finite, at least `neighbours` rows.
            targets: (N,), whole numbers, at least two different ones.

        Raises:
            ValueError: features or targets are not so.
        """
        known = labelled(features, targets)
        check_count("neighbours", self.neighbours, 1, len(known.rows))
        self.normaliser_ = Normaliser(self.normalise).fit(known.rows)
        self.rows_ = self.normaliser_.transform(known.rows)
        self.classes_ = known.classes
        self.targets_ = known.classes[known.numbers]
        return self

    def nearest(self, features: Rows) -> Nearest:
        """The training rows nearest to each row."""
        rows = asked(self, features)
        return nearest(self.rows_.to(rows.device), rows, neighbours=self.neighbours, distance=self.distance)

    def scores(self, features: Rows) -> Tensor:
        """Scores (N, K), float32: the votes of each class, plus less than 1 for how near they are.

        Raises:
            ValueError: not fitted yet, or features are no finite matrix of the dimension fitted on.
        """
        return self._scores(self.nearest(features)).float()

    def predict(self, features: Rows) -> Tensor:
        """The label of the highest score, (N,), int64."""
        return self.labels(self.nearest(features))

    def leave_one_out(self) -> Tensor:
        """The labels (N,), int64, that the training rows have by their neighbours, themselves left out.

        Raises:
            ValueError: not fitted yet, or fitted on no more rows than neighbours.
        """
        if not hasattr(self, "rows_"):
            raise ValueError("NearestNeighbours must be fitted first: call fit(features, targets)")
        return self.labels(nearest(self.rows_, neighbours=self.neighbours, distance=self.distance))

    def labels(self, found: Nearest) -> Tensor:
        """The label that neighbours found give each row, (N,), int64."""
        numbers = self._scores(found).argmax(dim=1)
        return self.classes_.to(numbers.device)[numbers]

    def _scores(self, found: Nearest) -> Tensor:
        """(N, K), float64: votes, and of equal votes more where the neighbours' distances are the smaller share."""
        device = found.indices.device
        numbers = torch.searchsorted(self.classes_, self.targets_).to(device)[found.indices]  # (N, k)
        votes = F.one_hot(numbers, len(self.classes_)).double()  # (N, k, K)
        away = (votes * found.distances[:, :, None]).sum(dim=1)  # (N, K)
        share = away / found.distances.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
        count = votes.sum(dim=1)
        return count + (1 - share) * (count > 0) / 2
