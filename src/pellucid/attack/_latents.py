"""Latent space: where an image is the vector that a decoder makes it from."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count, check_eval, check_range
from pellucid.models import evaluate, unvaried
from pellucid.progress import steps as progress

from ._autoencoder import trained_autoencoder
from ._balls import sizes

Mapping: TypeAlias = nn.Module | Callable[[Tensor], Any]

TOGETHER = 64
"""Images whose vectors are searched together."""


@dataclass(frozen=True)
class Inversion:
    """How a vector is searched where there is no encoder; the docstring of `latent` tells each."""

    steps: int
    starts: int
    rate: float
    pull: float

    def check(self) -> None:
        """Refuse what is out of range."""
        check_count("inversion_steps", self.steps, 1)
        check_count("inversion_starts", self.starts, 1)
        check_range("inversion_rate", self.rate, 1e-9)
        check_range("pull", self.pull, 0)


@dataclass(frozen=True)
class Latents:
    """A decoder, and the vectors it takes."""

    decoder: Mapping
    shape: tuple[int, ...]  # of one latent, as the decoder takes it
    image: tuple[int, ...]  # (C, H, W)
    is_rounded: bool  # whether images are rounded to 1/255, as a picture file would

    def decode(self, vectors: Tensor) -> Tensor:
        """Images (R, C, H, W) in [0, 1] of vectors (R, D)."""
        images = self.raw(vectors).clamp(0, 1).to(vectors)
        return (images * 255).round() / 255 if self.is_rounded else images

    def raw(self, vectors: Tensor) -> Tensor:
        """What the decoder gives, checked to be images of the right shape."""
        try:
            images = self.decoder(vectors.view(-1, *self.shape))
        except RuntimeError as error:
            asked = tuple(vectors.view(-1, *self.shape).shape)
            raise ValueError(
                f"the decoder takes no latents of shape {asked}: set size, give its encoder, or reshape in a function "
                f"around it ({str(error).splitlines()[0]})"
            ) from error
        given = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        if given != (len(vectors), *self.image):
            raise ValueError(f"decoder must give images {(len(vectors), *self.image)}, got {given}: resize at its end")
        found: Tensor = images
        return found

    def check_range(self, vectors: Tensor) -> None:
        """Refuse a decoder that plainly gives no images in [0, 1]."""
        low, high = (float(bound) for bound in self.raw(vectors).aminmax())
        if not -0.1 <= low <= high <= 1.1:
            hint = ": map (x + 1) / 2 at its end" if low >= -1.1 and high <= 1.1 else ""
            raise ValueError(f"decoder must give images in [0, 1], got {low:.3g} to {high:.3g}{hint}")


def latents_of(
    images: Tensor,
    *,
    decoder: Mapping | None,
    encoder: Mapping | None,
    size: int,
    training_steps: int,
    is_rounded: bool,
    inversion: Inversion,
    generator: torch.Generator,
) -> tuple[Latents, Tensor]:
    """A latent space and the vectors (N, D) of the images in it.

    Raises:
        ValueError: decoder and encoder do not fit each other or the images, or one of them is training.
    """
    shape = tuple(images.shape[1:])
    if decoder is None:
        net = trained_autoencoder(images, size=size, steps=training_steps, generator=generator)
        return Latents(net, (len(net.basis),), shape, is_rounded), net.encode(images)
    for mapping in (decoder, encoder):
        if isinstance(mapping, nn.Module):
            check_eval(mapping)
    if encoder is None:
        space = Latents(decoder, (size,), shape, is_rounded)
        space.check_range(images.new_zeros(1, size))
        return space, _inverted(space, images, inversion, generator)
    found = evaluate(encoder, unvaried(images), lambda out, _rows: out, label="encoding")[0]
    if found.ndim < 2 or not torch.isfinite(found).all():
        raise ValueError(f"encoder must give finite latents (N, ...), got shape {tuple(found.shape)}")
    space = Latents(decoder, tuple(found.shape[1:]), shape, is_rounded)
    vectors = found.flatten(1).to(images)
    space.check_range(vectors[:TOGETHER])
    return space, vectors


def _inverted(space: Latents, images: Tensor, how: Inversion, generator: torch.Generator) -> Tensor:
    """Vectors (N, D) whose images are nearest to these: of several starts, shared by all images, the best."""
    (size,) = space.shape
    begun = torch.randn(how.starts, 1, size, generator=generator, device=generator.device).to(images)
    found = []
    parts = torch.split(images, TOGETHER)
    with torch.inference_mode(False), torch.enable_grad(), progress("inverting", how.steps * len(parts)) as done:
        for part in parts:
            wanted = part.clone()
            vectors = begun.clone().expand(-1, len(part), -1).clone().requires_grad_()  # (starts, n, D)
            optimizer = torch.optim.Adam([vectors], lr=how.rate)
            for _ in range(how.steps):
                (vectors.grad,) = torch.autograd.grad(_misses(space, vectors, wanted, how.pull).sum(), vectors)
                optimizer.step()
                done(1)
            with torch.no_grad():
                best = _misses(space, vectors, wanted, how.pull).argmin(dim=0)  # (n,)
                found.append(vectors.detach()[best, torch.arange(len(part), device=best.device)])
    return torch.cat(found)


def _misses(space: Latents, vectors: Tensor, images: Tensor, pull: float) -> Tensor:
    """Squared distance of each vector's image from what it should be, plus its own length, (starts, n)."""
    made = space.raw(vectors.flatten(0, 1)).view(*vectors.shape[:2], -1)
    return (made - images.flatten(1)).square().sum(dim=2) + pull * vectors.square().sum(dim=2)


def distances(space: Latents, kind: str, sources: Tensor, images: Tensor, vectors: Tensor) -> Tensor:
    """How far vectors (R, D) lie from their sources (R, D): between the vectors, or between image and image; (R,)."""
    change = vectors - sources if kind == "latent" else (space.decode(vectors) - images).flatten(1)
    return sizes(change, "l2")


def similarity(images: Tensor, others: Tensor) -> Tensor:
    """Structural similarity of pairs of images (N, C, H, W), (N,), 1 for equal ones; mean over windows of 7 pixels.

    Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity", IEEE Transactions on Image Processing 13, 2004, equation 13. https://doi.org/10.1109/TIP.2003.819861
    """
    side = min(7, *images.shape[2:])
    count = side * side
    parts = torch.cat([images, others, images.square(), others.square(), images * others])
    first, second, of_first, of_second, of_both = F.avg_pool2d(parts, side, stride=1).chunk(5)
    unbiased = count / max(1, count - 1)
    spread = unbiased * (of_first - first.square() + of_second - second.square())
    shared = unbiased * (of_both - first * second)
    low, high = 0.01**2, 0.03**2
    top = (2 * first * second + low) * (2 * shared + high)
    found: Tensor = (top / ((first.square() + second.square() + low) * (spread + high))).flatten(1).mean(dim=1)
    return found


def root_mean_square(difference: Tensor) -> Tensor:
    """(N, ...) -> (N,)."""
    return sizes(difference, "l2") / math.sqrt(difference[0].numel())
