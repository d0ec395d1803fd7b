"""A first layer that prepares images by more than a mean and a deviation a channel: what it needs is kept with the
weights, so that the network still takes plain images.

mean_image   x - m, m the mean training image
per_image    (x - mean of x) / deviation of x, each image by its own
zca          W (x - m), W the whitening matrix of the training images

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, appendix A.
https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
"""

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice

KINDS = ("none", "mean_image", "per_image", "zca")

MOST_WHITENED = 8192
"""Values an image to be whitened may have: the matrix is the square of it."""


class Prepared(nn.Module):
    """Images (N, C, H, W) in [0, 1], prepared; until `fill` was called, as they are (per_image needs no filling).

    Args:
        kind: none, mean_image, per_image or zca.
        shape: (C, H, W) of the images.
    """

    mean: Tensor  # (C, H, W), of mean_image and zca
    matrix: Tensor  # (D, D), D = C * H * W, of zca

    def __init__(self, kind: str, shape: tuple[int, int, int]) -> None:
        check_choice("first", kind, KINDS)
        super().__init__()
        self.kind = kind
        if kind in {"mean_image", "zca"}:
            self.register_buffer("mean", torch.zeros(shape))
        if kind == "zca":
            values = shape[0] * shape[1] * shape[2]
            if values > MOST_WHITENED:
                raise ValueError(f"images must have at most {MOST_WHITENED:,} values to be whitened, got {values:,}")
            self.register_buffer("matrix", torch.eye(values))

    def extra_repr(self) -> str:
        """What it does."""
        return self.kind

    @torch.no_grad()
    def fill(self, mean: Tensor, matrix: Tensor | None = None) -> None:
        """Put in what was fitted on the training images: the mean image (C, H, W), and for zca the matrix (D, D)."""
        self.mean.copy_(mean)
        if matrix is not None:
            self.matrix.copy_(matrix)

    def forward(self, images: Tensor) -> Tensor:
        """Of the same shape."""
        if self.kind == "none":
            return images
        if self.kind == "per_image":
            return _standardised(images)
        centred = images - self.mean.to(images.dtype)
        if self.kind == "mean_image":
            return centred
        return (centred.flatten(1) @ self.matrix.to(images.dtype).T).view(images.shape)


def _standardised(images: Tensor) -> Tensor:
    """Less its own mean, over its own deviation, which counts as at least one over the root of the number of values."""
    over, count = (1, 2, 3), images[0].numel()
    centred = images - images.mean(dim=over, keepdim=True)
    return centred / centred.square().mean(dim=over, keepdim=True).sqrt().clamp(min=count**-0.5)
