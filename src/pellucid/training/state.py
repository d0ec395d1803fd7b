"""Where a training run stands: what a checkpoint needs besides weights, optimizer and schedule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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


@dataclass(frozen=True)
class RandomStates:
    """What torch's generators stand at, in the order of the processes."""

    cpu: list[Tensor]  # (bytes,), uint8, of each process
    cuda: list[Tensor]  # (bytes,), uint8, of each process's own device; none where nothing was done on one


def random_states(fabric: "Fabric | None" = None) -> RandomStates:
    """The random states of all processes of a training; None: of this one. Every process must ask."""
    cpu = [torch.get_rng_state()]
    cuda = [torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    if fabric is None or fabric.world_size == 1:
        return RandomStates(cpu, cuda)
    return RandomStates(*(_of_all(states[0], fabric) if states else [] for states in (cpu, cuda)))


def set_random_state(states: RandomStates, rank: int = 0) -> None:
    """Go on with the random state of a process; one that there was none of takes the last.

    Args:
        states: as they were saved.
        rank: of this process.
    """
    torch.set_rng_state(states.cpu[min(rank, len(states.cpu) - 1)])
    if states.cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state(states.cuda[min(rank, len(states.cuda) - 1)])


def _of_all(state: Tensor, fabric: "Fabric") -> list[Tensor]:
    """A state of every process, on the CPU."""
    own = state.to(fabric.device)
    gathered = [torch.empty_like(own) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(gathered, own)
    return [one.cpu() for one in gathered]
