"""ZCA whitening: values lose their correlations and the image still looks like itself.

A. Bell, T. Sejnowski, "The 'independent components' of natural scenes are edge filters", Vision Research 37, 1997.
https://doi.org/10.1016/S0042-6989(97)00121-1
A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.
https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
"""

import torch
from torch import Tensor

from pellucid.checks import check_images, check_range

CHUNK = 4096
"""Images whose products are summed at once."""


class Zca:
    """x' = U (S + epsilon)^(-1/2) U^T (x - mean), with U S U^T the covariance of the training images, in float64.

    Learned: mean_ (D,), values_ (D,) and vectors_ (D, D), the eigenvalues and eigenvectors of the covariance, and
    shape_ (C, H, W), with D = C * H * W.

    Args:
        epsilon: added to every variance, at least 0; small ones whiten noise too.
        budget: bytes of memory that fitting may take.
    """

    def __init__(self, *, epsilon: float = 0.01, budget: int = 4 * 2**30) -> None:
        self.epsilon = epsilon
        self.budget = budget

    def fit(self, pixels: Tensor) -> "Zca":
        """Learn from training images.

        Args:
            pixels: (N, C, H, W), uint8, or float in [0, 1]; at least 2.

        Raises:
            ValueError: more memory needed than the budget, or epsilon too small for images that span fewer directions.
        """
        check_range("epsilon", self.epsilon, 0)
        if pixels.dtype != torch.uint8:
            check_images(pixels)
        if pixels.ndim != 4 or len(pixels) < 2:
            raise ValueError(f"pixels must be at least 2 images (N, C, H, W), got {tuple(pixels.shape)}")
        self.shape_ = tuple(pixels.shape[1:])
        values = pixels[0].numel()
        needed = memory_needed(values)
        if needed > self.budget:
            raise ValueError(
                f"images must be smaller to be whitened: {values:,} values each need {needed:,} bytes, "
                f"the budget is {self.budget:,}"
            )
        total = pixels.new_zeros(values, dtype=torch.float64)
        for chunk in torch.split(pixels, CHUNK):
            total += _rows(chunk).sum(dim=0)
        self.mean_ = total / len(pixels)
        covariance = pixels.new_zeros(values, values, dtype=torch.float64)
        for chunk in torch.split(pixels, CHUNK):
            rows = _rows(chunk) - self.mean_
            covariance.addmm_(rows.T, rows)
        self.values_, self.vectors_ = torch.linalg.eigh(covariance.div_(len(pixels)))
        self.values_.clamp_(min=0)
        if float(self.values_[0]) + self.epsilon <= 1e-12 * float(self.values_[-1]):
            raise ValueError(
                f"epsilon must be over 0, for {len(pixels):,} images leave directions without variance, "
                f"got {self.epsilon}"
            )
        return self

    def transform(self, images: Tensor) -> Tensor:
        """Whitened images (N, C, H, W), of the images' dtype, with mean 0 and any range; images float, in [0, 1]."""
        check_images(images)
        self._check(images)
        rows = _rows(images) - self.mean_.to(images.device)
        return self._through(rows, -0.5).view(images.shape).to(images.dtype)

    def inverse(self, whitened: Tensor) -> Tensor:
        """Images (N, C, H, W), of the whitened ones' dtype, that `transform` makes these of."""
        self._check(whitened)
        rows = self._through(_rows(whitened), 0.5) + self.mean_.to(whitened.device)
        return rows.view(whitened.shape).to(whitened.dtype)

    def matrix(self, power: float = -0.5) -> Tensor:
        """U (S + epsilon)^power U^T (D, D), float64: the whitening itself at -0.5, its inverse at 0.5."""
        return self._through(torch.eye(len(self.values_), dtype=torch.float64, device=self.values_.device), power)

    def _through(self, rows: Tensor, power: float) -> Tensor:
        vectors: Tensor = self.vectors_.to(rows.device)
        scales: Tensor = (self.values_.to(rows.device) + self.epsilon) ** power
        through: Tensor = ((rows @ vectors) * scales) @ vectors.T
        return through

    def _check(self, images: Tensor) -> None:
        if not hasattr(self, "vectors_"):
            raise ValueError("images must be whitened by what was fitted on training images: call fit first")
        if tuple(images.shape[1:]) != self.shape_:
            raise ValueError(f"images must be {self.shape_} as those fitted on, got {tuple(images.shape[1:])}")


def memory_needed(values: int) -> int:
    """Bytes that fitting on images of so many values takes: covariance, eigenvectors, workspace, two chunks."""
    return 8 * (5 * values**2 + 2 * CHUNK * values)


def _rows(images: Tensor) -> Tensor:
    """(N, D), float64: bytes brought to [0, 1]."""
    rows: Tensor = images.flatten(1).double()
    return rows / 255 if images.dtype == torch.uint8 else rows
