"""What an attack did on its way: passes, steps, the objective, and what it drew."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Trace:
    """Handed to an attack as `trace=Trace()`, which writes into it; the images it returns are the same without.

    Fields:
        forward: (N,), int64, images that passed forward, for each attacked image; a black box's queries.
        backward: (N,), int64, gradients taken.
        iterations: (N,), int64, steps until the attack of this image was done.
        vanished: (N,), bool, whether the gradient at the start was zero everywhere, so that nothing could be climbed.
        history: for each step (N,), what the attack maximises, NaN where it was not asked.
        made: what a method leaves besides the images: its docstring names the type; None for most.
    """

    forward: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    backward: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    iterations: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    vanished: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    history: list[Tensor] = field(default_factory=list)
    made: Any = None

    def begin(self, count: int) -> "Trace":
        """Forget what was; make room for so many images."""
        self.forward, self.backward, self.iterations = (torch.zeros(count, dtype=torch.int64) for _ in range(3))
        self.vanished = torch.zeros(count, dtype=torch.bool)
        self.history, self.made = [], None
        return self

    def passed(self, rows: Tensor, *, forward: int = 1, backward: int = 0) -> None:
        """Count passes of the images in these places (R,)."""
        places = rows.cpu()
        self.forward[places] += forward
        self.backward[places] += backward

    def note(self, rows: Tensor, values: Tensor) -> None:
        """Add one step of the objective: values (R,) of the images in these places."""
        step = torch.full((len(self.forward),), torch.nan)
        step[rows.cpu()] = values.detach().float().cpu()
        self.history.append(step)
