"""The images of an adaptive ascent: where each is, was, and was best."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ._slopes import Slope
from ._smallest import spread


@dataclass
class Track:
    """The images that pass; all rows are theirs."""

    rows: Tensor  # (n,), int64, their places among all
    clean: Tensor  # (n, C, H, W)
    now: Tensor  # (n, C, H, W)
    last: Tensor  # (n, C, H, W), where the last step began
    value: Tensor  # (n,), the loss met last
    rises: Tensor  # (n,), int64, steps that raised it, since the last checkpoint
    top: Tensor  # (n, C, H, W), where it was highest
    top_value: Tensor  # (n,)
    top_gradient: Tensor  # (n, C, H, W)

    def meet(self, found: Slope) -> None:
        """Take in the loss and the slope where the images are now."""
        value = found.value.to(self.value)
        self.rises = self.rises + (value > self.value)
        better = value > self.top_value
        self.value = value
        self.top_value = torch.where(better, value, self.top_value)
        self.top = torch.where(spread(better), self.now, self.top)
        self.top_gradient = torch.where(spread(better), found.gradient, self.top_gradient)


class Pace(Protocol):
    """How long the steps are, and where they lead; what it learns is one for each row."""

    def turned(self, step: int, track: Track) -> Tensor | None:
        """At a checkpoint, which rows (n,), bool, go back to where the loss was highest; None else."""

    def moved(self, step: int, track: Track, gradient: Tensor) -> Tensor:
        """The next images (n, C, H, W)."""


Held = TypeVar("Held", bound=Any)


def begun(rows: Tensor, clean: Tensor, start: Tensor) -> Track:
    """A track's first place."""
    value = clean.new_full((len(rows),), math.inf)
    return Track(rows, clean, start, start, value, torch.zeros_like(rows), start, -value, torch.zeros_like(clean))


def only(held: Held, kept: Tensor) -> Held:
    """The rows (n,), bool, of a track or of its pace."""
    every = {field.name: getattr(held, field.name) for field in fields(held)}
    return replace(held, **{name: value[kept] for name, value in every.items() if isinstance(value, Tensor)})
