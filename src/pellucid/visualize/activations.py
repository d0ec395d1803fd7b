"""Activation maps: what chosen layers put out for given images.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
https://arxiv.org/abs/1311.2901
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_eval, check_images
from pellucid.models import evaluate, unvaried
from pellucid.models.taps import Tap

from ._tap import named_layers


@dataclass(frozen=True)
class Statistics:
    """What a layer's outputs are like, over all images."""

    shape: tuple[int, ...]  # of what was asked, for one image
    mean: float
    max: float
    zeros: float  # share of exact zeros, in [0, 1]
    channels: int  # K
    dead: tuple[int, ...]  # channels that are zero, or below, at every position of every image

    def json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**self.__dict__, "shape": list(self.shape), "dead": list(self.dead)}


def activations(model: nn.Module, images: Tensor, *, layers: str) -> dict[str, Tensor]:
    """What each named layer puts out, all from one forward pass of each image.

    The tensor is the layer's own output: a convolution's is before the norm and the ReLU that follow it, and nothing
    that works in place later has changed it.

    Args:
        model: maps (N, C, H, W) in [0, 1] to anything; in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        layers: dotted names or patterns such as features.*, with commas; name[1] or name[key] of several outputs.

    Returns:
        {name: (N, ...)}, in the network's order, on the images' device, in the layer's own dtype and units; where a
        layer folds parts of an image into the batch, its first dimension is that multiple of N.

    Raises:
        ValueError: no layer of that name (tells the nearest), one that is never reached, or one with several outputs.
    """
    check_eval(model)
    check_images(images)
    places = named_layers(model, layers)
    tap = Tap(model, places)
    kinds: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}

    def read(found: dict[str, Tensor], rows: Tensor) -> Tensor:
        flat = []
        for place in places:
            output, count = found[place], len(rows)
            if output.ndim < 2 or len(output) % count:
                raise ValueError(f"layer {place!r} puts out {tuple(output.shape)}: no rows for each of {count} images")
            kinds[place] = ((len(output) // count, *output.shape[1:]), output.dtype)
            flat.append(output.reshape(count, -1).to(torch.promote_types(output.dtype, torch.float32)))
        return torch.cat(flat, dim=1)  # (R, sum of all layers)

    every = evaluate(tap, unvaried(images), read, label="activations")[0]  # (N, sum of all layers)
    parts = torch.split(every, [math.prod(kinds[place][0]) for place in places], dim=1)
    return {
        place: part.reshape(-1, *kinds[place][0][1:]).to(kinds[place][1])
        for place, part in zip(places, parts, strict=True)
    }


def joined(several: Sequence[Statistics]) -> Statistics:
    """Statistics of a layer over images asked one after the other, at least one."""
    first, count = several[0], len(several)
    return Statistics(
        shape=first.shape,
        mean=sum(one.mean for one in several) / count,
        max=max(one.max for one in several),
        zeros=sum(one.zeros for one in several) / count,
        channels=first.channels,
        dead=tuple(sorted(set.intersection(*(set(one.dead) for one in several)))),
    )


def statistics(output: Tensor) -> Statistics:
    """Mean, largest value, share of zeros and dead channels of a layer's maps (N, K, h, w) or outputs (N, K, ...).

    Tokens and maps with channels last have their channels elsewhere: `Grid.maps` puts them first.
    """
    values = output.detach().double() if output.device.type != "mps" else output.detach().float()
    peaks = values.transpose(0, 1).flatten(1).amax(dim=1)  # (K,)
    return Statistics(
        shape=tuple(output.shape[1:]),
        mean=float(values.mean()),
        max=float(values.max()),
        zeros=float((values == 0).double().mean() if values.device.type != "mps" else (values == 0).float().mean()),
        channels=output.shape[1],
        dead=tuple((peaks <= 0).nonzero()[:, 0].tolist()),
    )
