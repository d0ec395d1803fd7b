"""Corruptions: what befalls pictures outside the laboratory, in five severities.

D. Hendrycks, T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR
2019. https://arxiv.org/abs/1903.12261

Each kind has the strengths of the benchmark's small pictures (32 pixels) and of its large ones (224); a picture takes
those its shorter side is nearer to. Weather (snow, frost, fog), glass and elastic are left out. What is drawn at random
is drawn for each image by itself, named by the generator and the image: alone, or in another order, it is the same.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_images

from ._blurs import defocus_blur, gaussian_blur, motion_blur, zoom_blur
from ._keyed import drawn_for_each
from ._tones import brightness, contrast, jpeg, pixelate, saturate

SEVERITIES = 5

SMALL = 85
"""A shorter side below this many pixels takes the strengths of 32, else those of 224: half way, as a ratio."""


def corrupt(images: Tensor, kind: str, *, severity: int = 3, generator: torch.Generator | None = None) -> Tensor:
    """Images as they come from a bad camera, a bad place or a bad file.

    Args:
        images: (N, C, H, W), float, in [0, 1]; saturate and jpeg take 1 or 3 channels.
        kind: one of CORRUPTIONS.
        severity: 1 (mild) to 5.
        generator: of noise and directions; none takes one of seed 0.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1].

    Raises:
        ValueError: no such kind, or an argument is out of its range.
    """
    check_images(images)
    check_choice("kind", kind, CORRUPTIONS)
    check_count("severity", severity, 1, SEVERITIES)
    change, small, large = CORRUPTIONS[kind]
    strength = (small if min(images.shape[-2:]) < SMALL else large)[severity - 1]
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    wide = images.detach().float() if images.dtype in {torch.float16, torch.bfloat16} else images.detach()
    return change(wide, strength, seed).clamp(0, 1).to(images.dtype)


def _gaussian_noise(images: Tensor, strength: tuple[float, ...], seed: int) -> Tensor:
    (deviation,) = strength
    return images + deviation * drawn_for_each(images, seed, _normal)


def _shot_noise(images: Tensor, strength: tuple[float, ...], seed: int) -> Tensor:
    (photons,) = strength  # that white sends

    def counted(image: Tensor, generator: torch.Generator) -> Tensor:
        return torch.poisson(image.clamp(0, 1) * photons, generator=generator) / photons

    return drawn_for_each(images, seed, counted)


def _impulse_noise(images: Tensor, strength: tuple[float, ...], seed: int) -> Tensor:
    (share,) = strength  # of values that become 0 or 1, as often the one as the other
    drawn = drawn_for_each(images, seed, _uniform)
    return torch.where(drawn < share / 2, 0, torch.where(drawn < share, 1, images))


def _speckle_noise(images: Tensor, strength: tuple[float, ...], seed: int) -> Tensor:
    (deviation,) = strength
    return images * (1 + deviation * drawn_for_each(images, seed, _normal))


def _motion_blur(images: Tensor, strength: tuple[float, ...], seed: int) -> Tensor:
    turns = drawn_for_each(images, seed, lambda _, generator: 90 * torch.rand(1, generator=generator) - 45)
    return motion_blur(images, strength, turns[:, 0])


def _normal(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(image.shape, generator=generator)


def _uniform(image: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(image.shape, generator=generator)


def _fixed(change: Callable[[Tensor, tuple[float, ...]], Tensor]) -> "Change":
    """A change that draws nothing."""
    return lambda images, strength, _seed: change(images, strength)


Change = Callable[[Tensor, tuple[float, ...], int], Tensor]
Strengths = tuple[tuple[float, ...], ...]


def _each(*values: float) -> Strengths:
    return tuple((value,) for value in values)


CORRUPTIONS: dict[str, tuple[Change, Strengths, Strengths]] = {
    "gaussian_noise": (_gaussian_noise, _each(0.04, 0.06, 0.08, 0.09, 0.10), _each(0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": (_shot_noise, _each(500, 250, 100, 75, 50), _each(60, 25, 12, 5, 3)),
    "impulse_noise": (_impulse_noise, _each(0.01, 0.02, 0.03, 0.05, 0.07), _each(0.03, 0.06, 0.09, 0.17, 0.27)),
    "speckle_noise": (_speckle_noise, _each(0.06, 0.1, 0.12, 0.16, 0.2), _each(0.15, 0.2, 0.35, 0.45, 0.6)),
    "gaussian_blur": (_fixed(gaussian_blur), _each(0.4, 0.6, 0.7, 0.8, 1), _each(1, 2, 3, 4, 6)),
    "defocus_blur": (  # radius of the disc, deviation by which its edge is softened, in pixels
        _fixed(defocus_blur),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "motion_blur": (  # length of the trail at most, deviation of its fading, in pixels
        _motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ),
    "zoom_blur": (  # the first zoom that is left out, the step between zooms, from 1 on
        _fixed(zoom_blur),
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "brightness": (_fixed(brightness), _each(0.05, 0.1, 0.15, 0.2, 0.3), _each(0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_fixed(contrast), _each(0.75, 0.5, 0.4, 0.3, 0.15), _each(0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": (  # factor, and what is added
        _fixed(saturate),
        ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    ),
    "pixelate": (_fixed(pixelate), _each(0.95, 0.9, 0.85, 0.75, 0.65), _each(0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg": (_fixed(jpeg), _each(80, 65, 58, 50, 40), _each(25, 18, 15, 10, 7)),
}
"""Kind -> how, and its five strengths for small pictures and for large ones."""
