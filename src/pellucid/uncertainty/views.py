"""Views: the very images that test-time augmentation asks of, to be looked at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_images
from pellucid.data.augment import Policy

from ._views import planned


@dataclass(frozen=True)
class Views:
    """V views of N images, in the order of the samples of `test_time_augmentation`."""

    images: Tensor  # (V, N, C, H, W), float, in [0, 1]; the first are the images as they are
    told: tuple[str, ...]  # (V,): what was done


@torch.no_grad()
def views(
    images: Tensor,
    *,
    policy: str | Policy = "hflip",
    samples: int = 10,
    crop: float = 0.875,
    generator: torch.Generator | None = None,
) -> Views:
    """Images as test-time augmentation shows them to a network, for the same options.

    Args:
        images: (N, C, H, W), float, in [0, 1].
        policy: none, hflip, five_crop, ten_crop; or operations drawn at random, such as cifar or crop=4,hflip=0.5.
        samples: views of operations drawn at random, at least 0; the others have a number of their own.
        crop: sides of the windows of five_crop and ten_crop as a share of the image's, above 0, at most 1.
        generator: of the operations drawn at random; none takes one of seed 0.

    Raises:
        ValueError: as of test_time_augmentation.
    """
    check_images(images)
    found = planned(images.shape, policy, samples, crop, generator)
    numbers = torch.arange(len(found.told), device=images.device)
    return Views(found.made(images.detach(), numbers), found.told)
