"""Normalisers: every unit shifted and scaled by the mean and spread of some neighbours, which the axes choose.

S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
ICML 2015, algorithms 1 and 2. https://arxiv.org/abs/1502.03167
J. Ba, J. Kiros, G. Hinton, "Layer Normalization", 2016. https://arxiv.org/abs/1607.06450
D. Ulyanov, A. Vedaldi, V. Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
https://arxiv.org/abs/1607.08022
Y. Wu, K. He, "Group Normalization", ECCV 2018. https://arxiv.org/abs/1803.08494
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_count, check_range

EPSILON = 1e-5
"""Added to the variance, so that what does not vary is not divided by zero."""


@dataclass(frozen=True)
class Statistics:
    """What batch norm remembers of the batches it was trained on."""

    mean: Tensor  # (C,)
    variance: Tensor  # (C,), unbiased


def batch_norm(values: Tensor, *, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Each channel by its mean and spread over the batch; other samples decide what becomes of one.

    Formula:
        y = scale (x - mu) / sqrt(var + 1e-5) + shift, mu and var (biased) over (N, H, W), for each c

    It stands before the non-linearity; a bias before it is taken off again with the mean, and has no gradient.

    Args:
        values: (N, C, H, W), float, more than one value a channel.
        scale: (C,), 1 without.
        shift: (C,), 0 without.

    Returns:
        As values; without scale and shift each channel has mean 0 and variance 1.

    Raises:
        ValueError: values is not as above.
    """
    _check(values)
    if values[:, 0].numel() == 1:
        raise ValueError("values must have more than one value a channel, got one: take group_norm for tiny batches")
    return _scaled(_normalized(values, (0, 2, 3)), scale, shift)


def batch_norm_frozen(
    values: Tensor, statistics: Statistics, *, scale: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Batch norm after training: the remembered mean and spread, so each image stands alone and the map is linear.

    Formula:
        y = scale (x - r_mu) / sqrt(r_var + 1e-5) + shift

    Args:
        values: (N, C, H, W), float.
        statistics: remembered, from `remembered`.
        scale: (C,), 1 without.
        shift: (C,), 0 without.

    Returns:
        As values.
    """
    _check(values)
    mean, variance = _channels(statistics.mean), _channels(statistics.variance)
    return _scaled((values - mean) / torch.sqrt(variance + EPSILON), scale, shift)


def remembered(values: Tensor, statistics: Statistics | None = None, *, share: float = 0.1) -> Statistics:
    """The running mean and variance after one more batch.

    Formula:
        r = (1 - share) r + share s, s being the batch's mean, and its variance (unbiased), for each c

    Args:
        values: (N, C, H, W), float, more than one value a channel.
        statistics: so far; mean 0 and variance 1 without.
        share: of the new batch, in [0, 1].
    """
    _check(values)
    check_range("share", share, 0, 1)
    rows = values.transpose(0, 1).flatten(1)  # (C, N H W)
    if rows.shape[1] == 1:
        raise ValueError("values must have more than one value a channel, got one: one value has no variance")
    so_far = statistics or Statistics(torch.zeros_like(rows[:, 0]), torch.ones_like(rows[:, 0]))
    mean = (1 - share) * so_far.mean + share * rows.mean(dim=1)
    return Statistics(mean, (1 - share) * so_far.variance + share * rows.var(dim=1))


def layer_norm(values: Tensor, *, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Each image by its own mean and spread over all channels: no other image is asked.

    Formula:
        y = scale (x - mu) / sqrt(var + 1e-5) + shift, mu and var (biased) over (C, H, W), for each n

    Args:
        values: (N, C, H, W), float.
        scale: (C,), 1 without; torch's LayerNorm has one for each of C, H, W.
        shift: (C,), 0 without.

    Returns:
        As values.
    """
    _check(values)
    return _scaled(_normalized(values, (1, 2, 3)), scale, shift)


def instance_norm(values: Tensor, *, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Each channel of each image by itself: its contrast is gone, only its shape remains.

    Formula:
        y = scale (x - mu) / sqrt(var + 1e-5) + shift, mu and var (biased) over (H, W), for each n and c

    Args:
        values: (N, C, H, W), float, H W at least 2.
        scale: (C,), 1 without.
        shift: (C,), 0 without.

    Returns:
        As values.
    """
    _check(values)
    if values[0, 0].numel() == 1:
        raise ValueError("values must have more than one place, got maps of 1x1: instance norm makes them zero")
    return _scaled(_normalized(values, (2, 3)), scale, shift)


def group_norm(values: Tensor, *, groups: int = 2, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Each group of channels of each image by itself: layer norm with one group, instance norm with C.

    Formula:
        y = scale (x - mu) / sqrt(var + 1e-5) + shift, mu and var (biased) over (C / groups, H, W), for each n and group

    Args:
        values: (N, C, H, W), float.
        groups: at least 1, a divisor of C.
        scale: (C,), 1 without.
        shift: (C,), 0 without.

    Returns:
        As values.

    Raises:
        ValueError: values is not as above, or groups does not divide C.
    """
    _check(values)
    channels = values.shape[1]
    check_count("groups", groups, 1, channels)
    if channels % groups:
        divisors = ", ".join(str(number) for number in range(1, channels + 1) if not channels % number)
        raise ValueError(f"groups must divide the {channels} channels, got {groups}; these do: {divisors}")
    parts = values.reshape(len(values), groups, -1, *values.shape[2:])  # (N, G, C / G, H, W)
    return _scaled(_normalized(parts, (2, 3, 4)).flatten(1, 2), scale, shift)


def _normalized(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    mean = values.mean(dim=axes, keepdim=True)
    variance = ((values - mean) ** 2).mean(dim=axes, keepdim=True)  # biased
    return (values - mean) / torch.sqrt(variance + EPSILON)


def _scaled(values: Tensor, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    for name, given in (("scale", scale), ("shift", shift)):
        if given is not None and given.shape != values.shape[1:2]:
            raise ValueError(f"{name} must have shape ({values.shape[1]},), got {tuple(given.shape)}")
    scaled = values if scale is None else values * _channels(scale)
    return scaled if shift is None else scaled + _channels(shift)


def _channels(row: Tensor) -> Tensor:
    return row[:, None, None]  # (C, 1, 1)


def _check(values: Tensor) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point() or values.ndim != 4 or not values.numel():
        given = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"values must be a float tensor (N, C, H, W), got {given}")


EACH = (batch_norm, layer_norm, instance_norm, group_norm)
"""In the order they were found."""
