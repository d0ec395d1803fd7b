"""ViM: a virtual class for what the features hold that the known images never did.

H. Wang, Z. Li, L. Feng, W. Zhang, "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022, section 4.
https://arxiv.org/abs/2203.10807
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, check_images
from pellucid.uncertainty import scores
from pellucid.uncertainty._features import features_of, linear_head_of

from ._asked import check_asked


class Vim:
    """Log odds of a virtual class, whose logit is the length of the features outside their principal space.

    The features are taken from the point where all logits would be 0 (as nearly as the last layer allows), and the
    virtual logit is scaled so that it is as large on average as the largest logit of the known images.

    Learned: origin_ (D,), residual_ (D, D - d), scale_, weight_ (K, D) and bias_ (K,) of the head; head_, its name.

    Args:
        principal: d, below the features' number D; none takes 1000 of 2048 or more, 512 of 768 or more, else half.
    """

    def __init__(self, *, principal: int | None = None) -> None:
        self.principal = principal

    def fit(self, model: nn.Module, images: Tensor, targets: Tensor | None = None) -> "Vim":  # noqa: ARG002
        """Learn the principal space of known images.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K) by a last linear layer; in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1]; what is known, more of them than d.
            targets: not needed; taken so that every detector is fitted alike.

        Raises:
            ValueError: the logits come from no linear layer, the known features never leave their principal space, or
                an argument is out of its range.
        """
        check_eval(model)
        check_images(images)
        self.model = model
        self.head_, linear = linear_head_of(model, images, "vim")
        self.weight_ = linear.weight.detach().double()
        bias = linear.bias
        self.bias_ = self.weight_.new_zeros(len(self.weight_)) if bias is None else bias.detach().double()
        (features,) = features_of(model, images, head=self.head_)
        width = features.shape[1]
        count = _principal(width) if self.principal is None else self.principal
        check_count("principal", count, 1, width - 1)
        self.origin_ = -torch.linalg.pinv(self.weight_) @ self.bias_
        centred = features - self.origin_  # (N, D)
        vectors = torch.linalg.eigh(centred.T @ centred / len(centred)).eigenvectors  # the smallest first
        self.residual_ = vectors[:, : width - count].contiguous()
        lengths = (centred @ self.residual_).norm(dim=1)
        if lengths.mean() <= 1e-9 * centred.norm(dim=1).mean():
            raise ValueError(
                f"principal must be smaller, or more images given: the features of these {len(images)} lie in a space "
                f"of {count} dimensions, and nothing is left to measure"
            )
        self.scale_ = self._logits(features).max(dim=1).values.mean() / lengths.mean()
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Scores (N,), float64, in logits: the log odds of the virtual class; higher = less known."""
        check_asked(self, "scale_", images)
        (features,) = features_of(self.model, images, head=self.head_)
        virtual = self.scale_ * ((features - self.origin_) @ self.residual_).norm(dim=1)
        odds: Tensor = virtual + scores.energy(self._logits(features))
        return odds

    def _logits(self, features: Tensor) -> Tensor:
        return features @ self.weight_.T + self.bias_


def _principal(width: int) -> int:
    """The authors' choice by the number of features."""
    return 1000 if width >= 2048 else 512 if width >= 768 else max(1, width // 2)
