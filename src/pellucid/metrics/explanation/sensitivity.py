"""Sensitivity: how much does a map change when the image hardly does?

C.-K. Yeh, C.-Y. Hsieh, A. Suggala, D. Inouye, P. Ravikumar, "On the (In)fidelity and Sensitivity of Explanations",
NeurIPS 2019, definition 2.2. https://arxiv.org/abs/1901.09392
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_count, check_question, check_range
from pellucid.progress import steps

from ._heat import check_heat
from .is_flat import is_flat

Explain: TypeAlias = Callable[[nn.Module, Tensor, Targets], Tensor]
"""A method of explanation: (model, images, targets) -> heat (N, H, W)."""


@dataclass(frozen=True)
class Sensitivity:
    """How far maps of slightly different images are from the image's own; lower is steadier."""

    largest: Tensor  # (N,), the largest of the samples: max-sensitivity, at least 0; lower is better
    mean: Tensor  # (N,), their mean
    each: Tensor  # (S, N), |map of the noisy image - map| / |map|, the Euclidean norms of maps
    is_flat: Tensor  # (N,), bool: the image's own map says nothing; a constant map is steady and useless


def sensitivity(
    explain: Explain,
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    radius: float = 0.02,
    samples: int = 10,
    generator: torch.Generator | None = None,
) -> Sensitivity:
    """The largest relative change of a map when every pixel of the image is moved a little.

    Two things differ from the paper: noisy images are clipped to [0, 1], for no other is an image; and the change is
    told relative to the map's own norm, as maps of different methods have different units. A map of norm 0 is divided
    by 1.

    Args:
        explain: (model, images, targets) -> heat (N, H, W); options are bound beforehand, with functools.partial.
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain; or a callable outputs -> (N,).
        radius: the most that a pixel's value is moved, in [0, 1]; moves are uniform in [-radius, radius].
        samples: noisy copies, at least 1; the same noise for every image.
        generator: source of the noise; None takes one of seed 0.

    Returns:
        Sensitivity.

    Raises:
        ValueError: an argument is out of its range, the model is training, or a map is not finite.
    """
    check_question(model, images, targets)
    check_range("radius", radius, 0, 1)
    check_count("samples", samples, 1)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    own = explain(model, images, targets)
    check_heat(own, images)
    norm = torch.linalg.vector_norm(own, dim=(1, 2))  # (N,)
    changes: list[Tensor] = []
    with steps("sensitivity", samples) as done:
        for _ in range(samples):
            noise = torch.rand(images.shape[1:], generator=source, device=source.device).mul_(2).sub_(1)  # (C, H, W)
            heat = explain(model, (images + radius * noise.to(images)).clamp(0, 1), targets)
            check_heat(heat, images)
            changes.append(torch.linalg.vector_norm(heat - own, dim=(1, 2)) / torch.where(norm > 0, norm, 1))
            done(1)
    each = torch.stack(changes)  # (S, N)
    return Sensitivity(each.amax(dim=0), each.mean(dim=0), each, is_flat(own))
