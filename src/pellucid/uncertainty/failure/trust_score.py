"""Trust score: is an image nearer to the class it was given than to any other?

H. Jiang, B. Kim, M. Guan, M. Gupta, "To Trust Or Not To Trust A Classifier", NeurIPS 2018, section 3, algorithm 1.
https://arxiv.org/abs/1805.11783
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval
from pellucid.uncertainty import _fitted
from pellucid.uncertainty._features import Place, features_and_logits, place_of
from pellucid.uncertainty._pictures import Pictures, check_asked, check_classes, images_at, keys_of, labels_of


class TrustScore:
    """Distance to the predicted class as a share of that and the distance to the nearest other class.

    A class is the images of it that were fitted on, without the share `alpha` that lies where it is thinnest; its
    distance is that of the nearest of them. With t the paper's trust score, the ratio of the two distances, the score
    is 1 / (1 + t): the same order turned round, and finite where an image meets one fitted on.

    Learned: points_ (M, D), float32, class by class; classes_ (C,), int64; counts_ (C,), int64; place_, where the
    features are; images_ and errors_, how many it was fitted on; seen_ (N, 16), keys of the images.

    Args:
        layer: dotted name whose output are the features; none takes what the last linear layer is given.
        neighbours: k of the distance to the k-th nearest of its class, by which an image lies thin, at least 1.
        alpha: share of every class left out, in [0, 1); the paper's filter is off at 0.
    """

    def __init__(self, *, layer: str | None = None, neighbours: int = 10, alpha: float = 0.0) -> None:
        self.layer, self.neighbours, self.alpha = layer, neighbours, alpha

    def fit(self, model: nn.Module, images: Pictures, targets: Tensor | None = None) -> "TrustScore":
        """Keep the features of labelled images, class by class.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1], as the classifier was trained on; or a labelled set in memory.
            targets: (N,), int64, in [0, K): the true classes; none with a set in memory.

        Raises:
            ValueError: images or targets that are none, fewer than 2 classes or than `neighbours` + 1 images of one.
        """
        self._check()
        check_eval(model)
        labels = labels_of(images, targets)
        self.place_ = place_of(model, images_at(images, torch.arange(1), model), self.layer)
        features, logits = features_and_logits(model, images, self.place_)
        check_classes(labels, logits.shape[1])
        self.classes_, counts = torch.unique(labels, return_counts=True)
        if len(counts) < 2:
            raise ValueError(f"targets must hold at least 2 classes to compare, got {len(counts)}")
        least = self.neighbours + 1 if self.alpha else 1
        if int(counts.min()) < least:
            scarce = int(self.classes_[counts.argmin()])
            raise ValueError(
                f"images of class {scarce} must be at least {least}, got {int(counts.min())}: lower neighbours, or "
                "set alpha to 0"
            )
        groups = [self._dense(features.cpu()[labels == label]) for label in self.classes_.tolist()]
        self.model, self.points_ = model, torch.cat(groups)
        self.counts_ = torch.tensor([len(group) for group in groups])
        self.images_, self.errors_ = len(labels), int((logits.argmax(dim=1).cpu() != labels).sum())
        self.seen_ = keys_of(images)
        return self

    def __call__(self, images: Pictures) -> Tensor:
        """Scores (N,), float64, in [0, 1]; above 1/2 another class is nearer. Higher = less to be trusted."""
        if not hasattr(self, "points_"):
            raise ValueError("TrustScore must be fitted first: call fit(model, images, targets)")
        check_asked(self.model, images)
        features, logits = features_and_logits(self.model, images, self.place_)
        predicted = logits.argmax(dim=1).cpu()
        distances = self._distances(features.cpu())  # (N, C)
        is_own = predicted[:, None] == self.classes_
        unknown = ~is_own.any(dim=1)
        if unknown.any():
            label = int(predicted[unknown][0])
            raise ValueError(f"the model predicts class {label}, of which no image was fitted on: fit on all classes")
        own = distances[is_own]
        other = distances.masked_fill(is_own, torch.inf).min(dim=1).values
        total = own + other
        return torch.where(total > 0, own / total, 0.5).to(features.device)

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write points and settings as safetensors and JSON into a new folder.

        Raises:
            ValueError: nothing was learned yet, or the folder may not be made.
        """
        if not hasattr(self, "points_"):
            raise ValueError("TrustScore must be fitted before it is saved: call fit(model, images, targets)")
        told = {
            "options": {"layer": self.layer, "neighbours": self.neighbours, "alpha": self.alpha},
            "place": {"name": self.place_.name, "is_input": self.place_.is_input},
            "images": self.images_,
            "errors": self.errors_,
        }
        tensors = {"points": self.points_, "classes": self.classes_, "counts": self.counts_, "seen": self.seen_}
        _fitted.write(folder, "trust_score", self.model, told, tensors, force=force)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> "TrustScore":
        """Read what was saved, for the classifier it was fitted on.

        Args:
            folder: as `save` wrote it.
            model: the classifier, with the same weights; in eval mode.

        Raises:
            ValueError: the folder is no saved trust score, is damaged, or was fitted on another classifier.
        """
        told, tensors = _fitted.read(folder, "trust_score", model)
        with _fitted.read_errors(folder):
            score = cls(**told["options"])
            score._check()
            score.place_ = Place(**told["place"])
            score.images_, score.errors_ = told["images"], told["errors"]
            score.points_, score.classes_ = tensors["points"], tensors["classes"]
            score.counts_, score.seen_ = tensors["counts"], tensors["seen"]
        if len(score.points_) != int(score.counts_.sum()) or len(score.counts_) != len(score.classes_):
            raise ValueError(f"{folder}: is damaged: its counts are not those of its points")
        score.model = model
        return score

    def _dense(self, points: Tensor) -> Tensor:
        """A class's points (n, D) without the share alpha whose k-th neighbour is farthest."""
        kept = len(points) - int(self.alpha * len(points))
        if kept == len(points):
            return points
        radius = _nearest(points, points, self.neighbours + 1)[:, -1]  # itself is the first
        return points[torch.from_numpy(radius).argsort(stable=True)[:kept].sort().values]

    def _distances(self, features: Tensor) -> Tensor:
        """(N, C), float64, to the nearest point of each class."""
        groups = torch.split(self.points_, self.counts_.tolist())
        return torch.stack([torch.from_numpy(_nearest(group, features, 1)[:, 0]) for group in groups], dim=1)

    def _check(self) -> None:
        check_count("neighbours", self.neighbours, 1)
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha must be in [0, 1), got {self.alpha}")


def _nearest(points: Tensor, asked: Tensor, count: int) -> NDArray[np.float64]:
    """Distances (n, count), rising, from each asked (n, D) to its nearest points."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=count).fit(points.double().numpy())
    distances: NDArray[np.float64] = index.kneighbors(asked.double().numpy())[0]
    return distances
