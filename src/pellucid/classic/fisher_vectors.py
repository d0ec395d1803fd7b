"""Fisher vectors: how an image would move the means and variances of a mixture of Gaussians towards itself.

F. Perronnin, J. Sánchez, T. Mensink, "Improving the Fisher Kernel for Large-Scale Image Classification", ECCV 2010;
J. Sánchez et al., "Image Classification with the Fisher Vector", International Journal of Computer Vision 105, 2013,
equations 16 to 18. https://doi.org/10.1007/s11263-013-0636-x
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count

from ._kept import hash_of
from ._rows import as_descriptors, blocks, in_images


class FisherVectors:
    """Fisher vectors of a mixture with diagonal covariances, on descriptors of fewer dimensions.

    Learned: origin_ (D,) and axes_ (D, d), the main directions of the descriptors; shares_ (K,), means_ (K, d) and
    deviations_ (K, d), the mixture; hash_, of all these.

    Args:
        components: K, at least 1.
        dimensions: d, main directions kept, at least 1; no more than D.
        sample: descriptors taken at random to learn from, at most; at least 1.
        root: whether numbers are replaced by their roots, signs kept.
    """

    def __init__(self, *, components: int = 64, dimensions: int = 64, sample: int = 100_000, root: bool = True) -> None:
        for name, value in (("components", components), ("dimensions", dimensions), ("sample", sample)):
            check_count(name, value, 1)
        self.components, self.dimensions, self.sample, self.root = components, dimensions, sample, root

    def fit(self, descriptors: Tensor, *, generator: torch.Generator | None = None) -> "FisherVectors":
        """Learn directions (PCA) and mixture (by scikit-learn, begun from a k-means).

        Args:
            descriptors: (..., D), float, of training images alone; zeros are left out.
            generator: of the sample and of the mixture's start; None is seed 0.

        Raises:
            ValueError: fewer descriptors that are not zeros than components, or more dimensions than they have.
        """
        from sklearn.mixture import GaussianMixture

        rows = as_descriptors(descriptors).float()
        rows = rows[rows.any(dim=1)]
        if len(rows) < max(2, self.components):
            raise ValueError(f"components must be at most the {len(rows)} descriptors there are, got {self.components}")
        check_count("dimensions", self.dimensions, 1, rows.shape[1])
        source = generator if generator is not None else torch.Generator().manual_seed(0)
        if len(rows) > self.sample:
            rows = rows[
                torch.randperm(len(rows), generator=source, device=source.device)[: self.sample].to(rows.device)
            ]
        seed = int(torch.randint(2**31 - 1, (), generator=source, device=source.device))
        self.origin_ = rows.mean(dim=0)
        centred = (rows - self.origin_).double()
        turned = torch.linalg.eigh(centred.T @ centred)[1].flip(1)[:, : self.dimensions]
        largest = turned.gather(0, turned.abs().argmax(dim=0, keepdim=True))
        self.axes_ = (turned * largest.sign()).float()  # (D, d), each with its largest number above 0
        shown = (centred.float() @ self.axes_).cpu().double().numpy()
        mixture = GaussianMixture(self.components, covariance_type="diag", random_state=seed, reg_covar=1e-6)
        mixture.fit(shown)
        learned = (mixture.weights_, mixture.means_, mixture.covariances_**0.5)
        self.shares_, self.means_, self.deviations_ = (torch.from_numpy(one).float().to(rows.device) for one in learned)
        self.hash_ = hash_of({name: getattr(self, name) for name in LEARNED})
        return self

    @torch.no_grad()
    def __call__(self, descriptors: Tensor) -> Tensor:
        """Fisher vectors (N, 2 * K * d), float32, of norm 1, of descriptors (N, P, D); zeros for an image of zeros.

        First what moves the means, component by component, then what moves the deviations.
        """
        if not hasattr(self, "means_"):
            raise ValueError("the mixture must be fitted on descriptors first: call fit(descriptors)")
        whole = in_images(descriptors, len(self.origin_)).float()
        return torch.stack([self._one(rows[rows.any(dim=1)]) for rows in whole])

    def _one(self, rows: Tensor) -> Tensor:
        """Of the descriptors (P, D) of one image."""
        count, width = self.means_.shape
        means, deviations = (part.to(rows) for part in (self.means_, self.deviations_))
        shares = self.shares_.to(rows)
        first, second = rows.new_zeros(count, width), rows.new_zeros(count, width)
        for _, some in blocks(rows, count * width):
            shown = (some - self.origin_.to(rows)) @ self.axes_.to(rows)
            apart = (shown[:, None] - means) / deviations  # (p, K, d)
            likely = shares.log() - deviations.log().sum(dim=1) - 0.5 * apart.square().sum(dim=2)  # (p, K)
            near = likely.softmax(dim=1)[..., None]
            first += (near * apart).sum(dim=0)
            second += (near * (apart.square() - 1)).sum(dim=0)
        roots = shares.sqrt()[:, None] * max(1, len(rows))
        flat = torch.cat([(first / roots).flatten(), (second / roots / math.sqrt(2)).flatten()])
        flat = flat.sign() * flat.abs().sqrt() if self.root else flat
        return F.normalize(flat, dim=0)


LEARNED = ("origin_", "axes_", "shares_", "means_", "deviations_")


def from_tensors(made: FisherVectors, tensors: Mapping[str, Tensor]) -> FisherVectors:
    """The mixture of what was written of it; refuses what does not fit together."""
    shapes = {name: tuple(tensors[name].shape) for name in LEARNED}
    count, width = made.components, made.dimensions
    deep = shapes["origin_"][0] if shapes["origin_"] else 0
    wanted = ((deep,), (deep, width), (count,), (count, width), (count, width))
    if tuple(shapes.values()) != wanted:
        raise ValueError(f"{', '.join(LEARNED)} must be {wanted}, got {tuple(shapes.values())}: the file is damaged")
    for name in LEARNED:
        setattr(made, name, tensors[name])
    made.hash_ = hash_of({name: tensors[name] for name in LEARNED})
    return made
