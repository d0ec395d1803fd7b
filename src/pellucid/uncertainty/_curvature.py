"""How sharply a set's likelihood bends in the weights of a last layer, and the normal density of that curvature.

A weight matrix (K, P) counts row by row: of class k and feature p it is number k P + p. Every curvature here is a sum
over images of B (x) f f^T, f (P,) an image's features and B (K, K) the curvature in its logits, a diagonal less a
product: of softmax and cross-entropy diag(p) - p p^T, of Gaussian noise a multiple of the unit matrix.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

AT_ONCE = 2**24
"""Values held at a time beside the result, about."""


class Curvature(Protocol):
    """A symmetric matrix over all weights, known by its eigenvalues, which are at least 0.

    `spread` stands for what scales each eigenvector, shaped as `values`: the root of a variance.
    """

    @property
    def values(self) -> Tensor:
        """Eigenvalues, (K, P) or (K P,)."""

    def variances(self, rows: Tensor, spread: Tensor) -> Tensor:
        """Of the logits of features (N, P), where weights vary so, (N, K)."""

    def moved(self, rows: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
        """What weights drawn with standard normal noise (S, K, P) add to the logits of features (N, P), (S, N, K)."""


@dataclass(frozen=True)
class Diagonal:
    """No two weights vary together."""

    values: Tensor  # (K, P)

    def variances(self, rows: Tensor, spread: Tensor) -> Tensor:
        """See above."""
        return rows.square() @ spread.square().T

    def moved(self, rows: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
        """See above."""
        return rows @ (spread * noise).transpose(1, 2)


@dataclass(frozen=True)
class Kronecker:
    """A product of one matrix over the classes and one over the features, each held by its eigenvectors."""

    values: Tensor  # (K, P), the products of their eigenvalues
    classes: Tensor  # (K, K), eigenvectors as columns
    features: Tensor  # (P, P), eigenvectors as columns

    def variances(self, rows: Tensor, spread: Tensor) -> Tensor:
        """See above."""
        return (rows @ self.features.to(rows)).square() @ spread.square().T @ self.classes.to(rows).square().T

    def moved(self, rows: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
        """See above."""
        return (rows @ self.features.to(rows)) @ (spread * noise).transpose(1, 2) @ self.classes.to(rows).T


@dataclass(frozen=True)
class Full:
    """All weights vary together."""

    values: Tensor  # (K P,)
    vectors: Tensor  # (K P, K P), eigenvectors as columns

    def variances(self, rows: Tensor, spread: Tensor) -> Tensor:
        """See above."""
        of_classes = (self.vectors.to(rows) * spread).view(-1, rows.shape[1], len(spread))  # (K, P, K P)
        return torch.stack([_lengths(rows, one) for one in of_classes], dim=1)

    def moved(self, rows: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
        """See above."""
        drawn = ((noise.flatten(1) * spread) @ self.vectors.to(rows).T).view(noise.shape)
        return rows @ drawn.transpose(1, 2)


KINDS: dict[str, type[Diagonal] | type[Kronecker] | type[Full]] = {"full": Full, "kron": Kronecker, "diag": Diagonal}
"""Every structure of a curvature by its name."""


class CurvatureSum:
    """A curvature as it is summed, some images at a time.

    full is the sum itself, diag its diagonal, kron (sum of B) (x) (sum of f f^T) / N: the same where B and f vary
    apart, as with Gaussian noise.

    Args:
        structure: full, kron or diag.
        classes: K.
        features: P.
        device: where it is summed.
    """

    def __init__(self, structure: str, classes: int, features: int, device: torch.device) -> None:
        shapes: dict[str, list[tuple[int, ...]]] = {
            "full": [(classes, features) * 2],
            "kron": [(classes, classes), (features, features)],
            "diag": [(classes, features)],
        }
        self.structure, self.images = structure, 0
        self.sums = [torch.zeros(shape, dtype=torch.float64, device=device) for shape in shapes[structure]]

    def add(self, rows: Tensor, own: Tensor, shared: Tensor) -> None:
        """Take some images in.

        Args:
            rows: their features (n, P), float64.
            own: of B = diag(own) - shared shared^T, (n, K).
            shared: the same, (n, K).
        """
        self.images += len(rows)
        if self.structure == "diag":
            self.sums[0] += (own - shared.square()).T @ rows.square()
        elif self.structure == "kron":
            self.sums[0] += torch.diag(own.sum(dim=0)) - shared.T @ shared
            self.sums[1] += rows.T @ rows
        else:
            together = self.sums[0].view(own.shape[1] * rows.shape[1], -1)
            for some in torch.split(torch.arange(len(rows), device=rows.device), max(1, AT_ONCE // len(together))):
                product = (shared[some, :, None] * rows[some, None]).flatten(1)  # (n, K P)
                together.addmm_(product.T, product, alpha=-1)
            for number, share in enumerate(own.T):
                self.sums[0][number, :, number] += (share[:, None] * rows).T @ rows

    def found(self) -> Diagonal | Kronecker | Full:
        """The sum, by its eigenvalues."""
        if self.structure == "diag":
            return Diagonal(self.sums[0])
        if self.structure == "full":
            count = self.sums[0].shape[0] * self.sums[0].shape[1]
            values, vectors = torch.linalg.eigh(self.sums[0].view(count, count))
            return Full(values.clamp_min(0), vectors)
        (classes, class_vectors), (features, feature_vectors) = (torch.linalg.eigh(one) for one in self.sums)
        values = classes.clamp_min(0)[:, None] * features.clamp_min(0) / self.images
        return Kronecker(values, class_vectors, feature_vectors)


def bytes_of(structure: str, classes: int, features: int) -> int:
    """What a structure needs while it is found, about: sum, eigenvectors and the room to find them in."""
    sides = {"full": [classes * features], "kron": [classes, features], "diag": []}
    return 8 * (4 * sum(side**2 for side in sides[structure]) + 3 * classes * features)


def _lengths(rows: Tensor, vectors: Tensor) -> Tensor:
    """|f V|^2 of each f: (N, P), (P, M) -> (N,)."""
    parts = torch.split(rows, max(1, AT_ONCE // vectors.shape[1]))
    return torch.cat([(part @ vectors).square().sum(dim=1) for part in parts])
