"""Two pictures of one `pellucid match`: read, reduced, matched, and what came of it in words and numbers."""

import math
from argparse import Namespace
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid import data
from pellucid.classic import Alignment, match_views

from ._shared import counted, given

CHANCE = 13
"""Matches that agree in unrelated pictures, at most, of 1,600 pairs of photographs (benchmarks/matching.py)."""

FARTHEST = 3.0
"""Times that a picture can be larger than the other and still be told: views reach 2.4. Matches of unrelated pictures
that agree are often of many places with a few close to each other, as if one were a fraction of the other's size."""


@dataclass(frozen=True)
class Side:
    """One of the two pictures."""

    file: str
    size: tuple[int, int]  # (H, W), as it is
    image: Tensor  # (3, h, w), float, in [0, 1], reduced


@dataclass(frozen=True)
class Matched:
    """What the two have in common."""

    first: Side
    second: Side
    starts: Tensor  # (M, 2), row and column in the reduced first picture, the surest first
    ends: Tensor  # (M, 2), in the reduced second one
    ratio: Tensor  # (M,)
    alignment: Alignment | None  # between the reduced pictures
    verdict: str  # same, perhaps or none

    @property
    def agreed(self) -> Tensor:
        """(M,), bool: matches that agree with most others."""
        none = torch.zeros(len(self.starts), dtype=torch.bool)
        return none if self.alignment is None else self.alignment.agreed

    @property
    def count(self) -> int:
        """How many agree."""
        return int(self.agreed.sum())

    @property
    def told(self) -> list[str]:
        """What was found, a sentence a line."""
        return [f"{VERDICTS[self.verdict]}: {_reason(self)}", *([_moved(self)] if self.verdict != "none" else [])]


VERDICTS = {
    "same": "the same scene or object",
    "perhaps": "perhaps the same scene or object",
    "none": "no common part found",
}


def matched(args: Namespace) -> Matched:
    """Both pictures read, reduced and matched.

    Raises:
        ValueError: a file that is no picture, a picture smaller than a patch, or an option out of its range.
    """
    first, second = (_side(path, args.side, args.patch) for path in (args.first, args.second))
    found = match_views(first.image[None], second.image[None], **given(args, match_views))
    verdict = verdict_of(found.alignment, len(found.first))
    return Matched(first, second, found.first, found.second, found.ratio, found.alignment, verdict)


def verdict_of(alignment: Alignment | None, matches: int) -> str:
    """One of VERDICTS, by how many of so many matches agree, and at which size."""
    if alignment is None or not is_told(alignment):
        return "none"
    agreed = int(alignment.agreed.sum())
    return "same" if agreed >= least(matches) else "perhaps" if agreed > CHANCE else "none"


def is_told(alignment: Alignment) -> bool:
    """Whether the sizes are no further apart than patches of one size can tell."""
    return 1 / FARTHEST <= alignment.scale <= FARTHEST


def least(matches: int) -> int:
    """How many of so many matches must agree to be no chance."""
    return max(16, math.ceil(0.1 * matches))


def scale_of(found: Matched) -> float:
    """How many times larger the second shows things, in the pixels of the files."""
    assert found.alignment is not None
    return found.alignment.scale * _factor(found.first) / _factor(found.second)


def landing(found: Matched, places: Tensor) -> Tensor:
    """Where places (P, 2) of the first picture lie in the second, both in the pixels of the files."""
    assert found.alignment is not None
    return enlarged(found.alignment.move(_small(places, found.first)), found.second)


def enlarged(places: Tensor, side: Side) -> Tensor:
    """Places (P, 2) of a reduced picture, in the pixels of its file."""
    return (places.double() + 0.5) / _factors(side) - 0.5


def summed(found: Matched) -> dict[str, Any]:
    """For `summary.json`; pixels are those of the files, angles degrees clockwise."""
    told: dict[str, Any] = {
        "format": 1,
        "first": {"file": found.first.file, "height": found.first.size[0], "width": found.first.size[1]},
        "second": {"file": found.second.file, "height": found.second.size[0], "width": found.second.size[1]},
        "verdict": found.verdict,
        "matches": len(found.starts),
        "agreeing": found.count,
        "needed": least(len(found.starts)),
        "alignment": None,
        "told": found.told,
    }
    if found.alignment is not None and found.verdict != "none":
        corner, middle = landing(found, torch.tensor([[0.0, 0.0], _middle(found.first)])).tolist()
        told["alignment"] = {
            "angle": found.alignment.angle,
            "scale": scale_of(found),
            "shift": {"down": corner[0], "across": corner[1]},
            "middle_lands_at": {"row": middle[0], "column": middle[1]},
            "error": found.alignment.error / _factor(found.second),
        }
    return told


def _side(path: str, side: int, patch: int) -> Side:
    """A picture file, reduced to a longer side; smaller ones stay as they are."""
    pictures = data.gather([path])
    if len(pictures) != 1:
        raise ValueError(f"{path}: must be one picture, got {len(pictures)}; name a file")
    try:
        pixels = pictures.read(0)  # (3, H, W), uint8
    except ValueError as error:
        raise ValueError(f"{pictures.items[0].file}: {error}") from error
    size = (int(pixels.shape[1]), int(pixels.shape[2]))
    factor = side / max(size)
    if factor < 1:
        small = [max(1, round(one * factor)) for one in size]
        pixels = F.interpolate(pixels[None], small, mode="bilinear", antialias=True, align_corners=False)[0]
    tall, wide = pixels.shape[1:]
    if min(tall, wide) < patch:
        reduced = f" (reduced from {size[1]} x {size[0]}: see --side)" if factor < 1 else ""
        raise ValueError(
            f"{pictures.items[0].file}: must be at least a patch wide and high, {patch}, got {wide} x {tall}{reduced}; "
            "a smaller --patch may do"
        )
    return Side(pictures.items[0].file, size, pixels.float() / 255)


def _reason(found: Matched) -> str:
    """Why the verdict is what it is."""
    total, agreed = len(found.starts), found.count
    if not total:
        return "not one patch of the first is that of the second beyond doubt"
    told = f"{agreed:,} of {counted(total, 'match').replace('matchs', 'matches')} agree on one turn, scale and shift"
    if found.verdict == "same":
        return told
    if found.alignment is not None and not is_told(found.alignment):
        return f"{told}, but as if one were {FARTHEST:g} times the other's size or more, which no patch can tell"
    return f"only {told}, and {least(total)} would be needed; unrelated pictures reach {CHANCE} by chance"


def _moved(found: Matched) -> str:
    """The similarity in words."""
    assert found.alignment is not None
    row, column = landing(found, torch.tensor([_middle(found.first)]))[0].tolist()
    angle, scale = found.alignment.angle, scale_of(found)
    turn = (
        f"turned {abs(angle):.1f}° {'clockwise' if angle > 0 else 'anticlockwise'}" if abs(angle) >= 0.05 else "upright"
    )
    size = f"{scale:.3g} times as large" if abs(scale - 1) >= 0.005 else "as large"
    return (
        f"the second shows it {turn} and {size}; the middle of the first lies at row {row:.1f}, column {column:.1f} of "
        f"the second; matches that agree are {found.alignment.error / _factor(found.second):.1f} pixels off"
    )


def _middle(side: Side) -> tuple[float, float]:
    return (side.size[0] - 1) / 2, (side.size[1] - 1) / 2


def _factors(side: Side) -> Tensor:
    """(2,), down and across: how many times as large the reduced picture is."""
    factors = [small / large for small, large in zip(side.image.shape[-2:], side.size, strict=True)]
    return torch.tensor(factors, dtype=torch.float64)


def _factor(side: Side) -> float:
    return float(_factors(side).mean())


def _small(places: Tensor, side: Side) -> Tensor:
    return (places.double() + 0.5) * _factors(side) - 0.5
