"""Draws that belong to an image, wherever it stands in a set."""

from collections.abc import Callable

import torch
from torch import Tensor

from .splits import content_keys


def drawn_for_each(images: Tensor, seed: int, draw: Callable[[Tensor, torch.Generator], Tensor]) -> Tensor:
    """What is drawn for each image, from a generator of its own that the seed and the image's values name.

    Args:
        images: (N, ...), float.
        seed: of all.
        draw: (image (...), on the CPU, in float32; generator) -> (...), float.

    Returns:
        (N, ...), dtype and device of images.
    """
    plain = images.detach().float().cpu()
    drawn = []
    for image, key in zip(plain, content_keys(plain), strict=True):
        generator = torch.Generator().manual_seed((int.from_bytes(key[:8], "little") ^ seed) % 2**63)
        drawn.append(draw(image, generator))
    return torch.stack(drawn).to(images)
