"""Where a training run stands: what a checkpoint needs besides weights, optimizer and schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class State:
    """Counters of `fit`; changed while it runs."""

    epoch: int = 0  # whole epochs done
    batch: int = 0  # batches done of the running one
    steps: int = 0  # updates of the weights so far
    seconds: float = 0.0  # spent in the running epoch
    lr: float = 0.0  # learning rate of the last update
    sums: dict[str, Tensor] = field(default_factory=dict)  # over its batches, of what the step told; scalars

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Count what the step told of one batch."""
        for name, value in values.items():
            told = value.detach()
            told = told.double() if told.device.type != "mps" else told.float()
            self.sums[name] = self.sums[name] + told if name in self.sums else told

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.batch, self.seconds, self.sums = self.epoch + 1, 0, 0.0, {}

    def state_dict(self) -> dict[str, Any]:
        """All of it, as numbers and tensors."""
        sums = {name: total.cpu() for name, total in self.sums.items()}
        counts = {"epoch": self.epoch, "batch": self.batch, "steps": self.steps}
        return {**counts, "seconds": self.seconds, "lr": self.lr, "sums": sums}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved run stood."""
        self.epoch, self.batch, self.steps = (int(saved[name]) for name in ("epoch", "batch", "steps"))
        self.seconds, self.lr = float(saved["seconds"]), float(saved["lr"])
        self.sums = {str(name): torch.as_tensor(total) for name, total in saved["sums"].items()}
