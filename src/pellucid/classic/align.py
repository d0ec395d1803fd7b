"""Alignment by vote: the one shift, turn and scale that most matches agree on.

M. Fischler, R. Bolles, "Random Sample Consensus", Communications of the ACM 24(6), 1981; the similarity that fits
best: S. Umeyama, IEEE Transactions on Pattern Analysis and Machine Intelligence 13(4), 1991, without reflection.
https://doi.org/10.1145/358669.358692, https://doi.org/10.1109/34.88573
"""

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

KINDS = ("similarity", "translation")
"""Shift, turn and scale; or shift alone."""

LEAST = {"similarity": 2, "translation": 1}
"""How many matches fix one."""


@dataclass(frozen=True)
class Alignment:
    """From one picture's places to another's: turned and scaled about the upper left pixel, then shifted.

    Fields:
        scale: how many times larger the second picture shows things, above 0.
        angle: how far it is turned clockwise, in degrees, in (-180, 180].
        shift: (down, across), in pixels.
        agreed: (M,), bool: the matches that lie within the tolerance.
        error: root mean square distance of those, in pixels.
    """

    scale: float
    angle: float
    shift: tuple[float, float]
    agreed: Tensor
    error: float

    def move(self, places: Tensor) -> Tensor:
        """Where places (P, 2), row and column, of the first picture lie in the second: (P, 2), float64."""
        turn = cmath.rect(self.scale, math.radians(self.angle))
        return _places(_complex(places) * turn + complex(self.shift[1], self.shift[0]))


@torch.no_grad()
def align(
    first: Tensor,
    second: Tensor,
    *,
    kind: str = "similarity",
    tolerance: float = 4.0,
    trials: int = 2000,
    largest_scale: float = 4.0,
    generator: torch.Generator | None = None,
) -> Alignment:
    """Find the shift, turn and scale that brings most places onto their matches; the others are taken for wrong.

    Args:
        first: (M, 2), places in one picture, row and column, in pixels.
        second: (M, 2), the matching places in the other.
        kind: similarity (shift, turn and scale) or translation (shift alone).
        tolerance: a match within so many pixels of where it should be agrees, above 0.
        trials: pairs of matches that are asked for their similarity, at least 1; all pairs where there are fewer.
        largest_scale: similarities that scale by more, or shrink by more, are not asked for, at least 1.
        generator: which pairs are drawn; None is seed 0.

    Returns:
        The alignment that most agree with, fitted to those in least squares.

    Raises:
        ValueError: fewer places than fix one (2; 1 for a translation), or nothing but one place matched to one.
    """
    found = aligned(
        first, second, kind, tolerance=tolerance, trials=trials, largest_scale=largest_scale, generator=generator
    )
    if found is None:
        raise ValueError(
            f"matches must lie at two places at least, and scale by at most {largest_scale}, got none that do"
        )
    return found


def aligned(
    first: Tensor,
    second: Tensor,
    kind: str,
    *,
    tolerance: float,
    trials: int = 2000,
    largest_scale: float = 4.0,
    generator: torch.Generator | None = None,
) -> Alignment | None:
    """What `align` finds; None where no two matches fix a similarity."""
    check_choice("kind", kind, KINDS)
    check_count("trials", trials, 1)
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance must be above 0 and finite, got {tolerance}")
    if not 1 <= largest_scale < math.inf:
        raise ValueError(f"largest_scale must be at least 1 and finite, got {largest_scale}")
    if first.ndim != 2 or first.shape[1] != 2 or first.shape != second.shape:
        raise ValueError(f"first and second must both be (M, 2), got {tuple(first.shape)} and {tuple(second.shape)}")
    if len(first) < LEAST[kind]:
        raise ValueError(f"matches must be at least {LEAST[kind]} to fix a {kind}, got {len(first)}")
    here, there = _complex(first), _complex(second)
    if kind == "translation":
        turns, shifts = torch.ones_like(here), there - here
    else:
        turns, shifts = _proposed(here, there, trials, largest_scale, generator)
    if not len(turns):
        return None
    return _fitted(here, there, _voted(here, there, turns, shifts, tolerance), kind, tolerance)


def _complex(places: Tensor) -> Tensor:
    """Places (M, 2), row and column, as numbers across + i down (M,), complex128: a product turns and scales."""
    return torch.complex(places[:, 1].double(), places[:, 0].double())


def _places(numbers: Tensor) -> Tensor:
    return torch.stack([numbers.imag, numbers.real], dim=1)


def _proposed(
    here: Tensor, there: Tensor, trials: int, largest: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Turns and shifts (T,) that bring two matches onto each other, one of each pair drawn; none of equal places."""
    count = len(here)
    if count * (count - 1) // 2 <= trials:
        one, two = torch.triu_indices(count, count, 1)
    else:
        source = generator if generator is not None else torch.Generator().manual_seed(0)
        one = torch.randint(count, (trials,), generator=source, device=source.device)
        two = (one + torch.randint(1, count, (trials,), generator=source, device=source.device)) % count
    one, two = one.to(here.device), two.to(here.device)
    before, after = here[two] - here[one], there[two] - there[one]
    is_apart = (before.abs() * largest >= after.abs()) & (after.abs() * largest >= before.abs()) & (before.abs() > 0)
    turns = after[is_apart] / before[is_apart]
    return turns, there[one[is_apart]] - turns * here[one[is_apart]]


def _voted(here: Tensor, there: Tensor, turns: Tensor, shifts: Tensor, tolerance: float) -> Tensor:
    """Which matches (M,) agree with the proposal that most agree with; of equals, the nearest to them."""
    best, agreed = -1.0, torch.zeros(len(here), dtype=torch.bool)
    for turn, shift in zip(torch.split(turns, 256), torch.split(shifts, 256), strict=True):
        far = (turn[:, None] * here + shift[:, None] - there).abs() / tolerance  # (t, M)
        score, number = (1 - far.square()).clamp(min=0).sum(dim=1).max(dim=0)  # votes, each less the further it lies
        if float(score) > best:
            best, agreed = float(score), far[number] <= 1
    return agreed


def _fitted(here: Tensor, there: Tensor, agreed: Tensor, kind: str, tolerance: float) -> Alignment:
    """The least squares fit to those that agree, asked again for who agrees until that stays the same."""
    for _ in range(20):
        before, after = here[agreed], there[agreed]
        centred = before - before.mean()
        turn = torch.ones((), dtype=here.dtype, device=here.device)
        if kind == "similarity":
            turn = (centred.conj() * (after - after.mean())).sum() / centred.abs().square().sum()
        shift = after.mean() - turn * before.mean()
        far = (turn * here + shift - there).abs()
        now = far <= tolerance
        if torch.equal(now, agreed) or int(now.sum()) < LEAST[kind]:
            break
        agreed = now
    error = far[agreed].square().mean().sqrt()
    angle = math.degrees(math.atan2(float(turn.imag), float(turn.real)))
    return Alignment(float(turn.abs()), angle, (float(shift.imag), float(shift.real)), agreed, float(error))
