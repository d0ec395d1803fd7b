"""k nearest neighbours: unknown is what has no near relatives among the known.

Y. Sun, Y. Ming, X. Zhu, Y. Li, "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, section 3.
https://arxiv.org/abs/2204.06507
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, check_images
from pellucid.uncertainty._features import features_of, head_of

from ._asked import check_asked

AT_ONCE = 2**24
"""Distances held at a time."""


class Knn:
    """Distance of an image's features, brought to length 1, to the k-th nearest of the known ones.

    Learned: bank_ (N, D), float32, of length 1; head_, the name of the last layer.

    Args:
        neighbours: k, at least 1 and at most the images fitted on; the paper takes 50 for CIFAR-10.
        layer: dotted name; none takes what the last linear layer or convolution is given.
    """

    def __init__(self, *, neighbours: int = 50, layer: str | None = None) -> None:
        self.neighbours = neighbours
        self.layer = layer

    def fit(self, model: nn.Module, images: Tensor, targets: Tensor | None = None) -> "Knn":  # noqa: ARG002
        """Keep the features of known images.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1]; what is known, at least `neighbours` of them.
            targets: not needed; taken so that every detector is fitted alike.

        Raises:
            ValueError: fewer images than neighbours, an argument out of its range, or a layer that is not there.
        """
        check_eval(model)
        check_images(images)
        check_count("neighbours", self.neighbours, 1, len(images))
        self.model = model
        self.head_ = head_of(model, images)
        self.bank_ = self._directions(images).float()
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (N,), float64, in [0, 2]; higher = less known. An image fitted on is its own first neighbour."""
        check_asked(self, "bank_", images)
        asked = self._directions(images)
        return torch.cat([self._farthest(some) for some in torch.split(asked, max(1, AT_ONCE // len(self.bank_)))])

    def _farthest(self, asked: Tensor) -> Tensor:
        """Distance (n,) to the k-th nearest: found by inner products, then taken without their rounding."""
        nearest = (asked.float() @ self.bank_.T).topk(self.neighbours, dim=1).indices  # (n, k)
        return torch.stack(
            [(self.bank_[rows].double() - one).norm(dim=1).max() for one, rows in zip(asked, nearest, strict=True)]
        )

    def _directions(self, images: Tensor) -> Tensor:
        (features,) = features_of(self.model, images, head=self.head_, layers=(self.layer,) if self.layer else ())
        return F.normalize(features, dim=1)
