"""Training as a generator over lightning-fabric: the caller stops, logs, draws and saves between the records."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_range
from pellucid.progress import steps as progress


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data, told while the weights changed."""

    epoch: int  # from 1
    steps: int  # batches so far
    values: dict[str, float]  # mean over the epoch of what the step returned, "loss" among it
    lr: float  # learning rate at its end
    seconds: float  # it took


def fit(
    step: nn.Module,
    batches: Callable[[int], Iterable[Any]],
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    accelerator: str = "cpu",
) -> Iterator[Epoch]:
    """Minimise what a step calls its loss.

    Args:
        step: maps a batch to numbers by name, (N,)-free scalars; "loss" is minimised, the rest is reported.
        batches: epoch (from 0) -> its batches.
        optimizer: over the step's parameters.
        epochs: passes over the data, at least 1.
        schedule: moved on after every batch.
        accelerator: as lightning-fabric names it: cpu, cuda, mps or auto.

    Yields:
        Epoch, after each; the step is in training mode again when the generator goes on.

    Raises:
        ValueError: the loss is no longer finite; says when.
    """
    from lightning_fabric import Fabric

    check_range("epochs", epochs, 1)
    fabric = Fabric(accelerator=accelerator, devices=1)
    wrapped, engine = fabric.setup(step, optimizer)
    taken = 0
    with progress("training", epochs) as done:
        for epoch in range(epochs):
            started = time.perf_counter()
            sums: dict[str, Tensor] = {}
            wrapped.train()
            count = 0
            for batch in batches(epoch):
                values = wrapped(fabric.to_device(batch))
                if not torch.isfinite(values["loss"]):
                    rate = optimizer.param_groups[0]["lr"]
                    raise ValueError(f"the loss became {values['loss']:g} at epoch {epoch + 1}, lr {rate:g}: lower lr")
                engine.zero_grad(set_to_none=True)
                fabric.backward(values["loss"])
                engine.step()
                if schedule is not None:
                    schedule.step()
                count += 1
                for name, value in values.items():
                    sums[name] = sums.get(name, torch.zeros(())) + value.detach().cpu()
            taken += count
            means = {name: float(total) / max(1, count) for name, total in sums.items()}
            yield Epoch(epoch + 1, taken, means, optimizer.param_groups[0]["lr"], time.perf_counter() - started)
            done(1)
