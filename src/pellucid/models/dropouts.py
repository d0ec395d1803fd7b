"""Dropout that stays on: every call of it, however it is written, thinned by masks that a number names.

Caught at function level, without hooks, so that nn.Dropout and F.dropout are met alike and nothing else of the network
leaves eval mode. One number means one thinned network: the same masks for every image, in every chunk.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pellucid.checks import check_range

from .probes import calls

BLOCK = 8
"""Masks drawn from one generator: drawing each alone would cost more than drawing it."""

KEPT = 2**25
"""Values of masks kept for the next images, at most."""


@dataclass
class Thinned:
    """Which thinned networks the rows of a pass are run through.

    Fields:
        seed: of the masks.
        rate: share dropped at every site, instead of the network's own; None keeps those.
        numbers: (p,), int64, the thinned networks of this pass; rows are (p, n) flattened.
        met: sites met in the last pass, with their shapes (without rows) and rates.
    """

    seed: int
    rate: float | None = None
    numbers: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.int64))
    met: list[tuple[torch.Size, float]] = field(default_factory=list)
    _kept: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rate is not None:
            check_range("rate", self.rate, 0, 1)

    def begin(self, numbers: Tensor) -> None:
        """A new pass, of these thinned networks."""
        self.numbers = numbers
        self.met.clear()

    def mask(self, x: Tensor, rate: float, dims: int) -> Tensor:
        """For this site's input (R, ...) the values kept, bool; `dims` trailing axes share one draw."""
        site = len(self.met)
        self.met.append((x.shape[1:], rate))
        shape = torch.Size((*x.shape[1 : x.ndim - dims], *[1] * dims))
        masks = self._drawn(site, shape, rate).to(x.device)  # (p, ...)
        count = len(masks)
        if len(x) == count or len(x) == 1:
            return masks
        if len(x) % count == 0:
            return masks.repeat_interleave(len(x) // count, dim=0)
        if len(x) == 2:  # the first and the last row alone
            return masks[[0, -1]]
        raise ValueError(f"a dropout of {tuple(x.shape)} has no rows for {count} draws: is its first axis no batch?")

    def _drawn(self, site: int, shape: torch.Size, rate: float) -> Tensor:
        numbers = self.numbers.tolist()
        blocks = {block: self._block(site, block, shape, rate) for block in {number // BLOCK for number in numbers}}
        return torch.stack([blocks[number // BLOCK][number % BLOCK] for number in numbers])

    def _block(self, site: int, block: int, shape: torch.Size, rate: float) -> Tensor:
        key = (site, block, shape, rate)
        if key not in self._kept:
            source = torch.Generator().manual_seed(_mixed(self.seed, site, block))
            drawn = torch.rand((BLOCK, *shape), generator=source) >= rate
            if sum(one.numel() for one in self._kept.values()) + drawn.numel() > KEPT:
                self._kept.clear()
            self._kept[key] = drawn
        return self._kept[key]


@contextmanager
def thinned(draws: Thinned) -> Iterator[None]:
    """Every dropout run inside the block drops by the draws, also in eval mode; all else is as it was."""
    with _DropoutMode(draws):
        yield


def random_sites(model: nn.Module, images: Tensor) -> tuple[list[tuple[torch.Size, float]], str | None]:
    """Where a network drops, found by running it once.

    Args:
        model: a Model or any module, in eval mode.
        images: (1, C, H, W).

    Returns:
        The sites in order: shape without the row, and rate; and the last module called, and called once, before the
        first of them: what it puts out is the same for every draw. None where randomness starts before any module.
    """
    draws = Thinned(0)
    draws.begin(torch.zeros(1, dtype=torch.int64))
    finished: list[str] = []
    count: dict[str, int] = {}
    before_first: list[str] = []

    def after(name: str, _module: nn.Module, _output: Any) -> None:
        count[name] = count.get(name, 0) + 1
        finished.append(name)
        if not draws.met and name:
            before_first.append(name)

    with torch.no_grad(), thinned(draws), calls(model, lambda *_: None, after):
        model(images)
    last = next((name for name in reversed(before_first) if count[name] == 1), None)
    return list(draws.met), last


def _mixed(*parts: int) -> int:
    """One seed of several numbers, spread over 63 bits (the finaliser of splitmix64)."""
    mixed = 0
    for part in parts:
        mixed = (mixed + part + 0x9E3779B97F4A7C15) % 2**64
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
        mixed ^= mixed >> 31
    return mixed % 2**63


_Call: TypeAlias = tuple[Tensor, float, bool, int]  # input, rate, whether in place, axes that share a draw


def _whole(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> _Call:  # noqa: ARG001
    return input, p, inplace, 0


def _plain(input: Tensor, p: float, train: bool) -> _Call:  # noqa: ARG001
    return input, p, False, 0


def _channels(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> _Call:  # noqa: ARG001
    return input, p, inplace, max(0, input.ndim - 2)


_DROPOUTS: dict[Callable[..., Any], Callable[..., _Call]] = {
    F.dropout: _whole,
    torch.dropout: _plain,
    **dict.fromkeys((F.dropout1d, F.dropout2d, F.dropout3d), _channels),
}

_ALPHA: dict[Callable[..., Any], Callable[..., _Call]] = {
    F.alpha_dropout: _whole,
    F.feature_alpha_dropout: _channels,
}

_LOW = -1.7580993408473766
"""What alpha dropout puts in the place of a dropped value: SELU far to the left. G. Klambauer et al., NeurIPS 2017,
section 2, https://arxiv.org/abs/1706.02515"""


class _DropoutMode(TorchFunctionMode):
    """Catches the functions by which a dropout can be called; everything else passes."""

    def __init__(self, draws: Thinned) -> None:
        super().__init__()
        self.draws = draws

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        reader = _DROPOUTS.get(func) or _ALPHA.get(func)
        if reader is None:
            return func(*args, **(kwargs or {}))
        x, rate, in_place, dims = reader(*args, **(kwargs or {}))
        if self.draws.rate is not None:
            rate = self.draws.rate
        if rate == 0:
            return x
        kept = self.draws.mask(x, rate, dims)
        if func in _ALPHA:
            scale = (1 - rate + rate * (1 - rate) * _LOW**2) ** -0.5 if rate < 1 else 0.0
            out = (torch.where(kept, x, _LOW) - rate * _LOW) * scale
        else:
            out = x * kept / (1 - rate) if rate < 1 else x * kept * 0
        return x.copy_(out) if in_place and out.shape == x.shape else out
