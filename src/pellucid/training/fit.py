"""Training as a generator over lightning-fabric: the caller stops, logs, draws and saves between the records."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.progress import steps as progress

from .averaging import Average
from .engine import is_plain, scaler_of
from .schedules import Schedule
from .state import State

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Batches: TypeAlias = Iterable[Any] | Callable[[int, int], Iterable[Any]]
"""What an epoch is made of: an iterable used anew each epoch, or (epoch from 0, skip) -> its batches from skip on."""

LOOK = 50
"""Steps between two looks at the loss where each would make the device wait."""


@dataclass(frozen=True)
class Epoch:
    """A pass over the training data, or its beginning, told while the weights changed."""

    epoch: int  # from 1
    steps: int  # updates of the weights so far
    values: dict[str, float]  # mean over the epoch's batches of what the step returned, "loss" among it
    lr: float  # learning rate of the last update
    seconds: float  # spent in this epoch
    is_over: bool = True  # False for a record amid the epoch


def fit(
    step: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    schedule: Schedule | torch.optim.lr_scheduler.LRScheduler | None = None,
    average: Average | None = None,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    state: State | None = None,
    every: int | None = None,
    fabric: "Fabric | None" = None,
) -> Iterator[Epoch]:
    """Minimise what a step calls its loss.

    Args:
        step: maps a batch to scalars by name; "loss" is minimised, the rest is reported; `placed` for a fabric.
        batches: an iterable used anew each epoch, or a callable (epoch from 0, skip) -> its batches from skip on.
        optimizer: over the step's parameters.
        epochs: passes over the data, at least 1.
        schedule: moved on after every update.
        average: moving average of the weights, updated after every update.
        accumulate: batches whose mean gradient makes one update, at least 1.
        clip_norm: longest gradient, all parameters together; longer ones are shortened to it.
        clip_value: largest entry of the gradient.
        state: where a run stands; a loaded one goes on there. It is kept up to date before every record.
        every: updates between two records amid an epoch; None gives whole epochs only.
        fabric: devices, processes and precision; None is one CPU process in float32.

    Yields:
        Epoch, after each epoch (and amid it, is_over False); the step trains again when the generator goes on.

    Raises:
        ValueError: an option is out of range, an epoch has no batch, or loss or weights are not finite; says when.
    """
    check_count("epochs", epochs, 1)
    check_count("accumulate", accumulate, 1)
    check_count("every", 1 if every is None else every, 1)
    for name, bound in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if bound is not None and not 0 < bound < math.inf:
            raise ValueError(f"{name} must be positive, got {bound}")
    state = State() if state is None else state
    updates = _Updates(step, optimizer, fabric or _one_process(), state, (clip_norm, clip_value))
    length = len(batches) if hasattr(batches, "__len__") else None  # type: ignore[arg-type]
    total = epochs * (length or 1)
    with progress("training", total) as done:
        done(state.epoch * (length or 1) + (state.batch if length else 0))
        while state.epoch < epochs:
            updates.begin()
            for group in _groups(_from(batches, state.epoch, state.batch), accumulate):
                updates.take(group)
                if schedule is not None:
                    schedule.step()
                if average is not None:
                    average.update()
                done(len(group) if length else 0)
                if every is not None and state.steps % every == 0 and state.batch != length:
                    yield updates.record(is_over=False)
                    updates.wrapped.train()
            record = updates.record(is_over=True)
            state.next_epoch()
            done(0 if length else 1)
            yield record


class _Updates:
    """Takes updates and counts them."""

    def __init__(
        self,
        step: nn.Module,
        optimizer: torch.optim.Optimizer,
        fabric: "Fabric",
        state: State,
        clips: tuple[float | None, float | None],
    ) -> None:
        self.is_closed_form = isinstance(optimizer, torch.optim.LBFGS)
        if self.is_closed_form and scaler_of(fabric) is not None:
            raise ValueError("precision must not be 16-mixed with lbfgs, which cannot skip a step: take bf16-mixed")
        self.wrapped, self.engine = fabric.setup(step, optimizer)
        self.is_plain = is_plain(fabric)
        if self.is_plain:  # what fabric wraps around a step does nothing here, at 0.2 ms a step
            self.wrapped, self.engine = step, optimizer
        self.step, self.optimizer, self.fabric, self.state = step, optimizer, fabric, state
        self.clip_norm, self.clip_value = clips

    def begin(self) -> None:
        """An epoch, or what is left of it."""
        self.wrapped.train()
        self.started = time.perf_counter() - self.state.seconds

    def take(self, group: Sequence[Any]) -> None:
        """One update from a group of batches."""
        state = self.state
        if self.is_closed_form and state.batch and state.steps == 1:
            warnings.warn("lbfgs is for full batches: with smaller ones each step undoes the last", stacklevel=3)
        state.lr = float(self.optimizer.param_groups[0]["lr"])
        group = [self.fabric.to_device(batch) for batch in group]
        if self.is_closed_form:  # it asks for the loss several times
            told: list[list[dict[str, Tensor]]] = []

            def closure() -> Tensor:
                told.append(self._backward(group))
                return torch.stack([values["loss"].detach() for values in told[-1]]).mean()

            self.optimizer.step(closure)  # type: ignore[arg-type]  # LBFGS takes a tensor
            values = told[0]
        else:
            values = self._backward(group)
            self.engine.step()
        for each in values:
            state.add(each)
        state.batch += len(group)
        state.steps += 1
        if state.steps % LOOK == 0:
            self._check(self._of_all(state.sums["loss"]))

    def record(self, *, is_over: bool) -> Epoch:
        """What the epoch gave so far, in all processes together."""
        state = self.state
        if state.batch == 0:
            raise ValueError(f"epoch {state.epoch + 1} has no batch: more images, or a smaller batch_size")
        state.sums = {name: self._of_all(total) for name, total in state.sums.items()}
        self._check(state.sums["loss"])
        self._check_weights()
        state.seconds = time.perf_counter() - self.started
        means = {name: float(total) / state.batch for name, total in state.sums.items()}
        return Epoch(state.epoch + 1, state.steps, means, self.state.lr, state.seconds, is_over)

    def _backward(self, group: Sequence[Any]) -> list[dict[str, Tensor]]:
        """The mean gradient of a group, clipped; what the step told of each batch."""
        self.engine.zero_grad(set_to_none=True)
        told = []
        for place, batch in enumerate(group):
            with self._unsynchronised(enabled=place + 1 < len(group)):
                values = self.wrapped(batch)
                loss = values["loss"]
                if loss.device.type == "cpu" and self.fabric.world_size == 1:  # several look together, see LOOK
                    self._check(loss)
                share = loss / len(group) if len(group) > 1 else loss
                torch.autograd.backward(share) if self.is_plain else self.fabric.backward(share)
            told.append(values)
        self._clip()
        return told

    def _unsynchronised(self, *, enabled: bool) -> AbstractContextManager[None]:
        """Where gradients are only gathered, processes need not talk."""
        if self.is_plain:
            return nullcontext()
        context: AbstractContextManager[None] = self.fabric.no_backward_sync(self.wrapped, enabled=enabled)
        return context

    def _clip(self) -> None:
        """Bound the gradient; one that is not finite stays so, and is a scaler's or `_check_weights`' affair."""
        if self.clip_norm is not None:
            self.fabric.clip_gradients(self.wrapped, self.engine, max_norm=self.clip_norm, error_if_nonfinite=False)
            if self.clip_value is not None:  # fabric's own would unscale a second time
                nn.utils.clip_grad_value_(self.step.parameters(), self.clip_value)
        elif self.clip_value is not None:
            self.fabric.clip_gradients(self.wrapped, self.engine, clip_val=self.clip_value)

    def _of_all(self, total: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.fabric.world_size == 1:
            return total
        mean: Tensor = self.fabric.all_reduce(total.clone(), reduce_op="mean")
        return mean

    def _check(self, loss: Tensor) -> None:
        value = float(loss.detach())
        if not math.isfinite(value):
            where = f"epoch {self.state.epoch + 1} step {self.state.batch + 1}"
            raise ValueError(f"the loss became {value:g} at {where}, lr {self.state.lr:g}: lower lr")

    def _check_weights(self) -> None:
        """The last update may have spoilt them; no loss tells it yet."""
        finite = [parameter.detach().isfinite().all() for parameter in self.step.parameters()]
        if not torch.stack(finite).all():
            where = f"epoch {self.state.epoch + 1} step {self.state.batch}"
            raise ValueError(f"the weights became nan or infinite at {where}, lr {self.state.lr:g}: lower lr")


def _one_process() -> "Fabric":
    from lightning_fabric import Fabric

    return Fabric(accelerator="cpu", devices=1)


def _from(batches: Batches, epoch: int, skip: int) -> Iterable[Any]:
    """The batches of an epoch, the first ones left out."""
    if callable(batches):
        return batches(epoch, skip)
    return islice(batches, skip, None)


def _groups(batches: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of so many batches; the last may be shorter."""
    left = iter(batches)
    while group := list(islice(left, size)):
        yield group
