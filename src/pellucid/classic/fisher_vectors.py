"""Fisher vectors: how an image would move the means and variances of a mixture of Gaussians towards itself.

F. Perronnin, J. Sánchez, T. Mensink, "Improving the Fisher Kernel for Large-Scale Image Classification", ECCV 2010, of
parts of an image in section 3.3; J. Sánchez et al., "Image Classification with the Fisher Vector", International
Journal of Computer Vision 105, 2013, equations 16 to 18. https://doi.org/10.1007/s11263-013-0636-x
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count

from ._kept import hash_of
from ._mixture import Mixture, learned, moments
from ._parts import Size, grids, parts, upwards
from ._rows import as_descriptors, in_images

NUMBERS_AT_ONCE = 2**23
"""Shares of patches in components that are held at a time; changes the memory, never the result."""


class FisherVectors:
    """Fisher vectors of a mixture with diagonal covariances, on descriptors of fewer dimensions.

    Learned: origin_ (D,) and axes_ (D, d), the main directions of the descriptors; shares_ (K,), means_ (K, d) and
    deviations_ (K, d), the mixture; hash_, of all these.

    Args:
        components: K, at least 1.
        dimensions: d, main directions kept, at least 1; no more than D.
        sample: descriptors taken at random to learn from, at most; at least 1.
        root: whether numbers are replaced by their roots, signs kept.
        iterations: steps of expectation and maximisation, at most; at least 1.
    """

    def __init__(
        self,
        *,
        components: int = 64,
        dimensions: int = 64,
        sample: int = 100_000,
        root: bool = True,
        iterations: int = 30,
    ) -> None:
        for name, value in (
            ("components", components),
            ("dimensions", dimensions),
            ("sample", sample),
            ("iterations", iterations),
        ):
            check_count(name, value, 1)
        self.components, self.dimensions, self.sample, self.root = components, dimensions, sample, root
        self.iterations = iterations

    def fit(self, descriptors: Tensor, *, generator: torch.Generator | None = None) -> "FisherVectors":
        """Learn directions (PCA) and mixture, begun from a k-means.

        Args:
            descriptors: (..., D), float, of training images alone; zeros are left out.
            generator: of the sample and of the k-means' start; None is seed 0.

        Raises:
            ValueError: fewer different descriptors that are not zeros than components, or more dimensions than theirs.
        """
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
        mixture = learned(centred.float() @ self.axes_, self.components, self.iterations, seed)
        self.shares_, self.means_, self.deviations_ = mixture.shares, mixture.means, mixture.deviations
        self.hash_ = hash_of({name: getattr(self, name) for name in LEARNED})
        return self

    @torch.no_grad()
    def __call__(self, descriptors: Tensor, *, size: Size | None = None, levels: int = 1) -> Tensor:
        """Fisher vectors of images, or of all parts of a spatial pyramid over each.

        Args:
            descriptors: (N, P, D), float; zeros count nothing.
            size: rows and columns of the P patches, or several such, as of `pyramid`; needed for more than one level.
            levels: L: the whole, 2 x 2 parts, 4 x 4 parts, ...; at least 1.

        Returns:
            (N, parts * 2 * K * d), float32, of norm 1, zeros for an image of zeros: level by level, part by part (row
            by row), each part of equal norm; in it what moves the means, component by component, then the deviations.

        Raises:
            ValueError: not fitted, of another width, or size and levels do not fit the patches.
        """
        if not hasattr(self, "means_"):
            raise ValueError("the mixture must be fitted on descriptors first: call fit(descriptors)")
        whole = in_images(descriptors, len(self.origin_)).float()
        patches = whole.shape[1]
        known = grids(size, patches, levels)
        part = parts(known, 2 ** (levels - 1)).to(whole.device)  # (P,)
        some = torch.split(whole, max(1, NUMBERS_AT_ONCE // (patches * self.components)))
        return torch.cat([self._vectors(images, part, levels) for images in some])

    def _vectors(self, whole: Tensor, part: Tensor, levels: int) -> Tensor:
        """Of a few images (n, P, D); part (P,) is the finest one of each patch."""
        means, deviations, shares = (one.to(whole) for one in (self.means_, self.deviations_, self.shares_))
        rows = (whole - self.origin_.to(whole)) @ self.axes_.to(whole)  # (n, P, d)
        near = Mixture(shares, means, deviations).near(rows.flatten(0, 1))[0].view(*rows.shape[:2], -1)
        near.mul_(whole.any(dim=2, keepdim=True))
        places = [part == number for number in range(4 ** (levels - 1))]
        finest = torch.stack([moments(near[:, place], rows[:, place]) for place in places], dim=1)
        sums = torch.cat(upwards(finest, levels), dim=1)  # (n, parts, K, 2d + 1)
        first, second, total = torch.split(sums, [rows.shape[2], rows.shape[2], 1], dim=3)
        apart = (first - means * total) / deviations
        wider = (second - 2 * means * first + (means.square() - deviations.square()) * total) / deviations.square()
        roots = shares.sqrt()[:, None] * total.sum(dim=2, keepdim=True).clamp(min=1)
        flat = torch.cat([(apart / roots).flatten(2), (wider / roots / math.sqrt(2)).flatten(2)], dim=2)
        flat = flat.sign() * flat.abs().sqrt() if self.root else flat
        return F.normalize(F.normalize(flat, dim=2).flatten(1), dim=1)


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
