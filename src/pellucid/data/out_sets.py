"""Images from elsewhere that need no file: noise, and known images of which nothing can be known any more.

D. Hendrycks, K. Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
ICLR 2017, section 3 (noise). https://arxiv.org/abs/1610.02136
"""

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_images

from ._keyed import drawn_for_each

OUT_SETS = ("uniform_noise", "gaussian_noise", "pixel_shuffle", "inversion")


def out_set(images: Tensor, kind: str, *, generator: torch.Generator | None = None) -> Tensor:
    """An image from elsewhere for each known one, of its shape.

    What is drawn is named by the generator and the known image: alone, or in another order, it is the same.

    Args:
        images: (N, C, H, W), float, in [0, 1], known.
        kind: uniform_noise, gaussian_noise (N(0.5, 1), clamped), pixel_shuffle (places, all channels) or inversion.
        generator: of the draws; none takes one of seed 0.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1].

    Raises:
        ValueError: no such kind, or images are none.
    """
    check_images(images)
    check_choice("kind", kind, OUT_SETS)
    images = images.detach()
    if kind == "inversion":
        return (1 - images).clamp(0, 1)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return drawn_for_each(images, seed, _DRAWS[kind])


def _uniform(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(image.shape, generator=generator)


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    return (0.5 + torch.randn(image.shape, generator=generator)).clamp(0, 1)


def _shuffled(image: Tensor, generator: torch.Generator) -> Tensor:
    places = torch.randperm(image.shape[1] * image.shape[2], generator=generator)
    return image.flatten(1)[:, places].view(image.shape)


_DRAWS = {"uniform_noise": _uniform, "gaussian_noise": _normal, "pixel_shuffle": _shuffled}
