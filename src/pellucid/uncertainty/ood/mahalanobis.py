"""Mahalanobis distance: unknown is what lies far from every class's centre, measured by how images vary in a class.

K. Lee, K. Lee, H. Lee, J. Shin, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks", NeurIPS 2018, sections 2.1 and 2.2. https://arxiv.org/abs/1807.03888
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_question, check_range
from pellucid.uncertainty._features import features_of, head_of

from ._asked import check_asked, layer_names


class Mahalanobis:
    """Squared Mahalanobis distance of an image's features to the nearest class mean, with one covariance for all.

    Of several layers, each one's distance is divided by its mean over the images fitted on, and these are averaged:
    the paper weighs layers by a regression on unknown images, which this needs none of; nor does it move the images.

    Learned: classes_ (C,), means_ (C, D), whiteners_ (D, D) and typical_ (L,), L layers, whose features are joined
    in D; widths_ (L,); head_, the name of the last layer.

    Args:
        layers: dotted names joined by commas; none takes what the last linear layer or convolution is given.
        ridge: added to every variance, as a share of their mean, above 0: features that never varied count with it.
    """

    def __init__(self, *, layers: str | None = None, ridge: float = 1e-6) -> None:
        self.layers = layers
        self.ridge = ridge

    def fit(self, model: nn.Module, images: Tensor, targets: Tensor) -> "Mahalanobis":
        """Learn means and covariance from known images.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1]; what is known, best what the model was trained on.
            targets: (N,), int64, their classes.

        Raises:
            ValueError: a class has a single image, an argument is out of its range, or a layer is not there.
        """
        check_question(model, images, targets)
        if not 0 < self.ridge < float("inf"):
            raise ValueError(f"ridge must be above 0 and finite, got {self.ridge}")
        self.classes_, places, counts = torch.unique(targets.to(images.device), return_inverse=True, return_counts=True)
        check_range(f"images of class {int(self.classes_[counts.argmin()])}", int(counts.min()), 2)
        self.model = model
        self.head_ = head_of(model, images)
        features = self._features(images)
        self.widths_ = torch.tensor([part.shape[1] for part in features])
        means, whiteners, typical = [], [], []
        for part in features:  # (N, d)
            mean = part.new_zeros(len(counts), part.shape[1]).index_add_(0, places, part) / counts[:, None]
            spread = part - mean[places]
            covariance = spread.T @ spread / len(part)
            whiteners.append(_whitener(covariance, self.ridge))
            means.append(mean)
            typical.append(_nearest(part, mean, whiteners[-1]).mean())
        self.means_ = torch.cat(means, dim=1)
        self.whiteners_ = torch.block_diag(*whiteners)  # type: ignore[no-untyped-call]
        self.typical_ = torch.stack(typical)
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (N,), float64, at least 0 and near the number of features for known images; higher = less known."""
        check_asked(self, "means_", images)
        features = self._features(images)
        widths = self.widths_.tolist()
        starts = [sum(widths[:number]) for number in range(len(widths))]
        distances = [
            _nearest(part, self.means_[:, start:end], self.whiteners_[start:end, start:end])
            for part, start, end in zip(features, starts, [*starts[1:], sum(widths)], strict=True)
        ]
        if len(distances) == 1:
            return distances[0]
        return torch.stack([d / usual for d, usual in zip(distances, self.typical_, strict=True)]).mean(dim=0)

    def _features(self, images: Tensor) -> list[Tensor]:
        return features_of(self.model, images, head=self.head_, layers=layer_names(self.layers))


def _whitener(covariance: Tensor, ridge: float) -> Tensor:
    """W (d, d) with W^T W the inverse of the covariance, ridged."""
    variance = covariance.diagonal().mean()
    if variance == 0:
        raise ValueError("features must vary within a class, but those of the images given never do")
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    lower = torch.linalg.cholesky(covariance + ridge * variance * eye)
    whitener: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return whitener


def _nearest(features: Tensor, means: Tensor, whitener: Tensor) -> Tensor:
    """Smallest squared distance (N,) to any of the means (C, d) where the whitener makes the covariance a unit."""
    exact = "donot_use_mm_for_euclid_dist"
    distances: Tensor = torch.cdist(features @ whitener.T, means @ whitener.T, compute_mode=exact)  # (N, C)
    return distances.amin(dim=1).square()
