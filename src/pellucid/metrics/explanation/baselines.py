"""Cheap maps: what a map must beat before it is believed, made without any network.

Random orders of the pixels, random blobs, the middle of the picture, and its edges: photographs show their object in
the middle and with edges, so these score better than chance, and a method that does no better has explained nothing.
Scattered pixels break a picture faster than coarse patches do, so a coarse map is compared with blobs as coarse.
J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 5.1, for the edges.
https://arxiv.org/abs/1810.03292
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count, check_images

CELLS = 7
"""Of a side: as coarse as the last maps of most networks for images of 224 pixels."""


def baselines(images: Tensor, *, draws: int = 3, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Maps that no network was asked for: random orders and blobs, the middle of the picture, its edges.

    Args:
        images: (N, C, H, W), float, in [0, 1].
        draws: how many random orders and blobs, at least 0; each is the same for every image.
        generator: source of them; None takes one of seed 0.

    Returns:
        Maps (N, H, W), all at least 0, by name: random_1, random_2, ... (uniform noise of each pixel), blobs_1, ...
        (uniform noise of 7 x 7 cells, enlarged bilinearly), centre (a Gaussian, a quarter of each side wide), edges
        (length of the Sobel gradient of the gray image).

    Raises:
        ValueError: images are none, or draws is negative.
    """
    check_images(images)
    check_count("draws", draws, 0)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    size = images.shape[-2:]
    found: dict[str, Tensor] = {}
    for number in range(1, draws + 1):
        found[f"random_{number}"] = torch.rand(size, generator=source, device=source.device).to(images)
    for number in range(1, draws + 1):
        cells = torch.rand(1, 1, CELLS, CELLS, generator=source, device=source.device).to(images)
        found[f"blobs_{number}"] = F.interpolate(cells, size, mode="bilinear", align_corners=False)[0, 0]
    rows, columns = (_bell(side).to(images) for side in size)
    found["centre"] = rows[:, None] * columns
    found = {name: heat.expand(len(images), -1, -1) for name, heat in found.items()}
    return found | {"edges": _edges(images)}


def _bell(side: int) -> Tensor:
    """A Gaussian (side,) around the middle, a quarter of the side its standard deviation."""
    place = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) / (side / 4)
    return (-place.square() / 2).exp()


def _edges(images: Tensor) -> Tensor:
    """Length (N, H, W) of the Sobel gradient of the gray image, the edge pixels going on outside."""
    gray = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = images.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    slopes = F.conv2d(gray, torch.stack([across, across.T])[:, None])  # (N, 2, H, W)
    return torch.hypot(slopes[:, 0], slopes[:, 1])
