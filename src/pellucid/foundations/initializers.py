"""Initialisers: how wide the first weights are drawn, so that signals neither die nor explode on the way.

Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", in Neural Networks: Tricks of the Trade, 1998,
section 4.6. https://doi.org/10.1007/3-540-49430-8_2
X. Glorot, Y. Bengio, "Understanding the Difficulty of Training Deep Feedforward Neural Networks", AISTATS 2010,
equations 12 and 16. https://proceedings.mlr.press/v9/glorot10a.html
K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", ICCV 2015, equation 10.
https://arxiv.org/abs/1502.01852

N(0, s^2) names a variance here; s is the standard deviation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range
from pellucid.methods import taken

Initializer: TypeAlias = Callable[..., Tensor]
"""(weight, *, generator) -> fresh values of its shape, dtype and device; the weight itself stays as it was. What draws
nothing takes no generator."""


@dataclass(frozen=True)
class Fans:
    """How many numbers meet in one unit."""

    fan_in: int  # on the way forward: k^2 C / groups of a convolution
    fan_out: int  # on the way back


def fans(weight: Tensor) -> Fans:
    """Numbers that enter a unit and leave it.

    Args:
        weight: (out, in) of a linear layer, or (out, in / groups, k, ...) of a convolution.
    """
    if not isinstance(weight, Tensor) or not weight.is_floating_point() or weight.ndim < 2 or not weight.numel():
        given = f"{weight.dtype} {tuple(weight.shape)}" if isinstance(weight, Tensor) else type(weight).__name__
        raise ValueError(f"weight must be a float tensor (out, in, ...), got {given}")
    places = weight[0, 0].numel()
    return Fans(weight.shape[1] * places, weight.shape[0] * places)


def zeros(weight: Tensor) -> Tensor:
    """All weights alike, so all hidden units stay alike: no hidden gradient, only the output's bias learns.

    Formula:
        w = 0

    Args:
        weight: (out, in, ...), float; only its shape counts.
    """
    fans(weight)
    return torch.zeros_like(weight)


def small_normal(weight: Tensor, *, std: float = 0.01, generator: torch.Generator | None = None) -> Tensor:
    """Small and one size for all: in a deep net each layer passes on less, until nothing is left.

    Formula:
        w ~ N(0, std^2)

    Args:
        weight: (out, in, ...), float; only its shape counts.
        std: standard deviation, at least 0.
        generator: of the draw; seed 0 without.
    """
    fans(weight)
    check_range("std", std, 0)
    return _normal(weight, std, generator)


def lecun_normal(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Keeps the second moment through linear layers on the way forward.

    Formula:
        w ~ N(0, 1 / fan_in)

    Args:
        weight: (out, in, ...), float; only its shape counts.
        generator: of the draw; seed 0 without.
    """
    return _normal(weight, math.sqrt(1 / fans(weight).fan_in), generator)


def xavier_normal(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """A compromise of 1 / fan_in, which keeps signals, and 1 / fan_out, which keeps gradients.

    Formula:
        w ~ N(0, 2 / (fan_in + fan_out))

    Args:
        weight: (out, in, ...), float; only its shape counts.
        generator: of the draw; seed 0 without.
    """
    found = fans(weight)
    return _normal(weight, math.sqrt(2 / (found.fan_in + found.fan_out)), generator)


def xavier_uniform(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """The same spread as xavier_normal, drawn evenly between two bounds.

    Formula:
        w ~ U(-b, b), b = sqrt(6 / (fan_in + fan_out))

    Args:
        weight: (out, in, ...), float; only its shape counts.
        generator: of the draw; seed 0 without.
    """
    found = fans(weight)
    bound = math.sqrt(6 / (found.fan_in + found.fan_out))
    return _drawn(torch.rand, weight, generator) * (2 * bound) - bound


def he_normal(weight: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Twice LeCun's variance, for ReLU throws half of the second moment away.

    Formula:
        w ~ N(0, 2 / fan_in)

    Args:
        weight: (out, in, ...), float; only its shape counts.
        generator: of the draw; seed 0 without.
    """
    return _normal(weight, math.sqrt(2 / fans(weight).fan_in), generator)


def second_moments(
    initialize: Initializer,
    *,
    layers: int = 20,
    width: int = 512,
    samples: int = 64,
    rectified: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """How much of a signal is left after each of many layers, freshly drawn.

    Args:
        initialize: draws the weights of a layer (width, width).
        layers: at least 1.
        width: units of each layer, at least 1.
        samples: inputs from N(0, 1), at least 1.
        rectified: ReLU after each layer; otherwise the layers are linear.
        generator: of the draws; seed 0 without.

    Returns:
        (layers + 1,), mean square of the inputs, about 1, and of what each layer passes on; about 1 is the aim.
    """
    for name, value in (("layers", layers), ("width", width), ("samples", samples)):
        check_count(name, value, 1)
    drawn = generator or torch.Generator().manual_seed(0)
    options = taken(initialize, {"generator": drawn})
    signal = torch.randn(samples, width, generator=drawn)
    moments = [(signal**2).mean()]
    for _ in range(layers):
        before = signal @ initialize(signal.new_empty(width, width), **options).T
        signal = before.clamp(min=0) if rectified else before
        moments.append((signal**2).mean())
    return torch.stack(moments)


def _normal(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    fans(weight)
    return _drawn(torch.randn, weight, generator) * std


def _drawn(draw: Callable[..., Tensor], weight: Tensor, generator: torch.Generator | None) -> Tensor:
    """Numbers like the weight, made where the generator lives."""
    source = generator or torch.Generator().manual_seed(0)
    return draw(weight.shape, generator=source, dtype=weight.dtype, device=source.device).to(weight.device)


EACH = (zeros, small_normal, lecun_normal, xavier_normal, xavier_uniform, he_normal)
"""From the worst to the best for a deep net of ReLUs."""
