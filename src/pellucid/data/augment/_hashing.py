"""Random numbers that are looked up, not drawn in turn: a number is a hash of what it is for.

Whoever asks for the number of (seed, epoch, image, operation) gets the same one, in whatever order, batch or process.
G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014 (the mixing of 64 bits, as
in Vigna's SplitMix64). https://doi.org/10.1145/2660193.2660195
J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011 (counters in place of a state).
https://doi.org/10.1145/2063384.2063405
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: multiples of it are far apart."""


def number(seed: int, epoch: int) -> int:
    """One number of 62 bits for an epoch as a whole, such as the seed of its order."""
    return int(keys(seed, epoch, -1, torch.zeros(1, dtype=torch.int64))) & (2**62 - 1)


def keys(seed: int, epoch: int, place: int, indices: Tensor) -> Tensor:
    """(N,), int64: the key of one operation of a policy, in one epoch, for each index (N,), int64."""
    start = 0
    for number in (seed, epoch, place):
        start = _mixed_number(start + number * GOLDEN)
    return _mixed(indices * _signed(GOLDEN, 64) + _signed(start, 64))


def uniform(key: Tensor, stream: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """(N,), float64, in [low, high): the stream-th number of each key."""
    bits = _mixed(key + _signed((stream + 1) * GOLDEN, 64))
    return low + (high - low) * (_shifted(bits, 11, 64).double() * 2.0**-53)


def below(key: Tensor, stream: int, count: int) -> Tensor:
    """(N,), int64: a whole number from 0 to count - 1 for each key."""
    return (uniform(key, stream) * count).long()


def normal(key: Tensor, count: int) -> Tensor:
    """(N, count), float32: standard normal numbers on the key's device, the quantiles of 16 bits each (up to +-4.2)."""
    first, second = (_signed_parts(key)[part][:, None] for part in (0, 1))  # (N, 1)
    pairs = torch.arange(-(-count // 2), dtype=torch.int32, device=key.device)
    bits = _mixed_short(pairs * _signed(0x9E3779B1, 32) + first)  # (N, count / 2)
    bits = _mixed_short(bits + second)
    halves = bits.view(torch.int16).int() & 0xFFFF  # (N, count), rounded up to an even number
    return _quantiles().to(key.device).index_select(0, halves.view(-1)).view(len(key), -1)[:, :count]


def one_by_one(function: Callable[[float], float], values: Tensor) -> Tensor:
    """A function of `math` over (N,), float64; vector instructions may round the same number in two ways."""
    return torch.tensor([function(value) for value in values.tolist()], dtype=torch.float64)


@cache
def _quantiles() -> Tensor:
    """(65536,): the normal quantile in the middle of each 65536th of the probability."""
    quantiles: Tensor = torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16)
    return quantiles.float()


def _mixed(bits: Tensor) -> Tensor:
    """Each of 64 bits made to depend on all, one to one."""
    bits = (bits ^ _shifted(bits, 30, 64)) * _signed(0xBF58476D1CE4E5B9, 64)
    bits = (bits ^ _shifted(bits, 27, 64)) * _signed(0x94D049BB133111EB, 64)
    return bits ^ _shifted(bits, 31, 64)


def _mixed_number(number: int) -> int:
    """The same for a Python number."""
    return int(_mixed(torch.tensor(_signed(number, 64)))) % 2**64


def _mixed_short(bits: Tensor) -> Tensor:
    """The same for 32 bits, with the constants of Appleby's MurmurHash3."""
    bits = (bits ^ _shifted(bits, 16, 32)) * _signed(0x85EBCA6B, 32)
    bits = (bits ^ _shifted(bits, 13, 32)) * _signed(0xC2B2AE35, 32)
    return bits ^ _shifted(bits, 16, 32)


def _signed_parts(key: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper 32 bits, int32."""
    lower = (key & 0xFFFFFFFF) - ((key & 0x80000000) << 1)
    return lower.int(), (key >> 32).int()


def _shifted(bits: Tensor, count: int, width: int) -> Tensor:
    """A shift to the right that brings in zeros."""
    return (bits >> count) & ((1 << (width - count)) - 1)


def _signed(number: int, width: int) -> int:
    """The number, modulo 2**width, as two's complement holds it."""
    half = 1 << (width - 1)
    return (number + half) % (2 * half) - half
