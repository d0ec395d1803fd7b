"""Latent walk: the image of another class that a generator makes nearest to this one, found by labels alone.

D. Na, S. Ji, J. Kim, "Unrestricted Black-box Adversarial Attack Using GAN with Limited Queries", ECCV Workshops 2022.
https://arxiv.org/abs/2208.11613
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_images

from ._asking import BlackBox, asking
from ._latents import Inversion, latents_of
from ._walk import Steps
from ._walks import Walks
from .trace import Trace


def latent(
    model: BlackBox,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    decoder: nn.Module | Callable[[Tensor], Any] | None = None,
    encoder: nn.Module | Callable[[Tensor], Any] | None = None,
    start: Tensor | None = None,
    max_queries: int = 5000,
    distance: str = "latent",
    size: int = 32,
    training_steps: int = 300,
    inversion_steps: int = 500,
    inversion_starts: int = 4,
    inversion_rate: float = 0.05,
    pull: float = 0.0,
    search: int = 100,
    directions: int = 100,
    most_directions: int = 1000,
    tolerance: float = 1e-3,
    rounded: bool = True,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Walk from an image of another class towards each image, through the latents of a generator, without crossing.

    What is returned is made by the decoder, never the image plus a change, and it need not lie near in pixels: see
    epsilon. A box is asked for labels, nothing else. An image that is misclassified already (or called the target
    already) is returned as it is; so is one for which nothing was found within epsilon. The paper's distance between
    the features of a network is not offered, for a black box shows none. With a trace, `trace.made` is a tuple of one
    Walk for each image, None for one that was not attacked.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits, probabilities or labels: a network, a function or a Query.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: largest change of a value that a result may have, in image units; none sets no bound.
        decoder: latents (n, ...) to images (n, C, H, W) in [0, 1]; none trains a small autoencoder on the images.
        encoder: images to the decoder's latents; none searches them by the decoder's gradient.
        start: (M, C, H, W), images of other classes (targeted: of the targets) to walk from; none takes those given.
        max_queries: answers an image may cost, the clean image's among them, at least 1.
        distance: what is made small: latent (between latents) or image (between pixels).
        size: length of a latent of the built-in autoencoder, or of a decoder that comes without an encoder.
        training_steps: of the built-in autoencoder, at least 0: its principal components need none.
        inversion_steps: Adam steps of the search for a latent, where there is no encoder.
        inversion_starts: starts of that search, of which the best is kept.
        inversion_rate: its learning rate, above 0.
        pull: weight of the latent's squared length in that search, at least 0.
        search: latents drawn from N(0, 1) where no image is a start, at least 0.
        directions: asked about in the first iteration; later ones ask about this many times its square root.
        most_directions: asked about in one iteration, at least directions.
        tolerance: of the bisection, as a share of the distance at the start, above 0; a walk that short ends.
        rounded: ask about (and return) images rounded to 1/255, so that what is found survives a picture file.
        targeted: reach the targets instead of leaving them.
        generator: of all draws, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; its made is a tuple of Walk.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, decoder or encoder do not fit, or there is no start.
    """
    how = Steps(directions, most_directions, tolerance, distance, epsilon)
    inversion = Inversion(inversion_steps, inversion_starts, inversion_rate, pull)
    how.check()
    inversion.check()
    for name, count, low in (("size", size, 1), ("training_steps", training_steps, 0), ("search", search, 0)):
        check_count(name, count, low)
    if encoder is not None and decoder is None:
        raise ValueError("decoder must be given with its encoder, got an encoder alone")
    source = torch.Generator().manual_seed(0) if generator is None else generator
    with asking(model, images, targets, targeted=targeted, max_queries=max_queries, trace=trace) as ask:
        pool = _checked_start(start, ask.images)
        rows = torch.arange(len(ask.images), device=ask.images.device)
        clean = ask.labels(ask.images, rows)[0]
        rows = rows[clean != ask.targets if targeted else clean == ask.targets]
        ask.trace.made = (None,) * len(ask.images)
        if not len(rows) or epsilon == 0 or not int(ask.left(rows).min()):
            return ask.images.clone()
        space, vectors = latents_of(
            ask.images if pool is None else torch.cat([ask.images, pool]),
            decoder=decoder,
            encoder=encoder,
            size=size,
            training_steps=training_steps,
            is_rounded=rounded,
            inversion=inversion,
            generator=source,
        )
        return Walks(ask, space, vectors, clean, how).attack(rows, search, source)


def _checked_start(start: Tensor | None, images: Tensor) -> Tensor | None:
    """The images (M, C, H, W) to start from, like those attacked."""
    if start is None:
        return None
    try:
        check_images(start)
    except ValueError as error:
        raise ValueError(f"start: {error}") from None
    if start.shape[1:] != images.shape[1:]:
        raise ValueError(f"start must hold images {tuple(images.shape[1:])}, got {tuple(start.shape[1:])}")
    return start.detach().to(images).clamp(0, 1)
