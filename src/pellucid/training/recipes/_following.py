"""What every image recipe does between the records of `fit`: judge, keep the best, log, checkpoint, stop."""

import math
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pellucid.data import Pixels
from pellucid.metrics import proportion
from pellucid.models import Model, load, save
from pellucid.records import versions
from pellucid.training.averaging import Average
from pellucid.training.classify import Classify, Judgement, judge
from pellucid.training.engine import scaler_of
from pellucid.training.fit import Epoch
from pellucid.training.page import write_page
from pellucid.training.runs import SNAPSHOTS, Part, Run
from pellucid.training.schedules import Schedule
from pellucid.training.sets import Sets
from pellucid.training.state import State, random_states
from pellucid.training.stopping import Stopping

from ._board import board as _board
from ._told import Told

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Following", "Told"]


@dataclass(frozen=True)
class Following:
    """Follows a training: call it with a function that starts it, get what is told."""

    run: Run
    fabric: "Fabric"
    sets: Sets
    step: Classify
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    average: Average | None  # judged and kept in place of the weights, where there is one
    stopping: Stopping | None  # None: the last epoch is kept
    state: State
    epochs: int
    taken: int  # images an epoch trains on, all processes together
    eval_train: bool
    tensorboard: bool
    cycle: int | None = None  # epochs after which a snapshot is taken, again and again; None takes none
    judged_by: Callable[[nn.Module, Pixels], Judgement] | None = None  # amid the training; None: `judge`
    ended_by: Callable[[nn.Module, Pixels], Judgement] | None = None  # at the end; None: `judge`
    before: str = "untrained"  # what the network is before the first epoch

    def __call__(self, train: Callable[[], Iterator[Epoch]]) -> Iterator[Told]:
        """Restore the last checkpoint, train from there, judge the best model on the test part at the end."""
        if self.run.is_finished:
            yield self._end()
            return
        self.run.learn_from(self.sets.parts, writes=self.fabric.is_global_zero)
        if not self.run.restore(self._parts(), self.fabric.global_rank):
            yield self._begin()
        with _board(self.run, on=self.tensorboard and self.fabric.is_global_zero, epoch=self.state.epoch) as board:
            for record in () if self._is_over() else train():
                if not record.is_over:
                    self._checkpoint()
                    continue
                yield self._epoch(record, board)
                if self._is_over():
                    break
        yield self._end()

    @property
    def model(self) -> nn.Module:
        """What is judged: the averaged weights, or the last ones."""
        return self.step.model if self.average is None else self.average.model

    def _parts(self) -> dict[str, Part]:
        parts: dict[str, Part | None] = {
            "step": self.step,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "average": self.average,
            "stopping": self.stopping,
            "state": self.state,
            "precision": None if scaler_of(self.fabric) is None else self.fabric.strategy.precision,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _begin(self) -> Told:
        """How an untrained network does: near ln K nats and 1 / K right, or something is wrong already."""
        values: dict[str, Any] = {"epoch": 0, "steps": 0, **self._judged()}
        self._log(values)
        classes = len(self.sets.train.classes)
        parts = [f"{len(part):,} {name}" for name, part in self._named_sets() if part is not None]
        told = f"{self.before}: val loss {values['val_loss']:.3f}, " if "val_loss" in values else ""
        chance = f"chance is {math.log(classes):.3f} nats, {1 / classes:.1%}"
        return Told("; ".join([", ".join(parts) + " images", f"{told}{chance}", *self.sets.notes]), values)

    def _epoch(self, record: Epoch, board: Any) -> Told:
        values: dict[str, Any] = {"epoch": record.epoch, "steps": record.steps, "lr": record.lr}
        values |= {**record.values, **self._judged(), "seconds": round(record.seconds, 3)}
        self.schedule.told(values.get("val_loss", values["loss"]))
        is_best = self.stopping is None or self.stopping.is_better(record.epoch, values)
        if is_best:
            self._keep(record.epoch, self.run.folder)
        if self.cycle is not None and record.epoch % self.cycle == 0:
            self._snapshot(record.epoch)
        self._log({**values, "best": is_best})
        if board is not None:
            for name, value in values.items():
                board.add_scalar(name, value, record.epoch)
            board.flush()
        self._checkpoint()  # at last: what stands behind it is taken back when the run goes on
        shown = {name: value for name, value in values.items() if name not in {"epoch", "steps", "seconds"}}
        words = [f"{name.replace('_', ' ')} {_short(name, value)}" for name, value in shown.items()]
        mark = ", best so far" if is_best and self.stopping is not None else ""
        return Told(f"epoch {record.epoch}/{self.epochs}: {', '.join(words)}, {record.seconds:.1f} s{mark}", values)

    def _end(self) -> Told:
        """Judge the kept model on the test part, once."""
        if not self.run.is_finished:
            self._finish()
        if self.fabric.is_global_zero and not (self.run.folder / "index.html").is_file():
            write_page(self.run)  # it was killed before it could
        self.fabric.barrier()
        results = self.run.results
        judged = results.get("test") or results.get("val") or {}
        place = f"{self.run.folder}: best epoch {results['best_epoch']} of {results['epochs']}"
        share = f", {results['judged_on']} accuracy {judged['accuracy']:.2%}" if judged else ""
        interval = f" (95 % interval {judged['low']:.2%} to {judged['high']:.2%})" if judged else ""
        return Told(f"{place}{share}{interval}, {results['training_seconds']:.1f} s of training", dict(judged))

    def _finish(self) -> None:
        kept = load(self.run.folder).to(self.fabric.device)
        self.fabric.barrier()  # before the first process may rename its files
        judged: dict[str, Any] = {}
        for name, part in self._named_sets()[1:]:
            if part is not None:
                found = self._judgement(kept, part, self.ended_by)
                worth = found.worth or found.count
                share = proportion(found.accuracy * worth, worth)
                judged[name] = {"accuracy": share.value, "low": share.low, "high": share.high}
                judged[name] |= {"loss": found.loss, "count": found.count, **found.others}
        records = [line for line in self.run.records() if line["epoch"]]
        seconds = sum(line["seconds"] for line in records)
        best = self.stopping.best_epoch if self.stopping is not None else self.state.epoch
        if self.fabric.is_global_zero:
            self.run.finish(
                {
                    "recipe": self.run.config["recipe"],
                    "judged_on": next(iter(reversed(judged)), ""),
                    **judged,
                    "classes": len(self.sets.train.classes),
                    "best_epoch": best,
                    "epochs": self.state.epoch,
                    "steps": self.state.steps,
                    "parameters": sum(parameter.numel() for parameter in kept.parameters()),
                    "training_seconds": seconds,
                    "images_per_second": self.taken * len(records) / seconds if seconds else 0.0,
                    "notes": list(self.sets.notes),
                }
            )
            write_page(self.run)

    def _judged(self) -> dict[str, float]:
        if self.fabric.world_size > 1:  # those of batch norm have seen other images in every process
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, 0)
        parts = [("val", self.sets.val), *([("train", self.sets.train)] if self.eval_train else [])]
        values: dict[str, float] = {}
        for name, part in parts:
            if part is not None:
                found = self._judgement(self.model, part, self.judged_by)
                if not math.isfinite(found.loss):
                    raise ValueError(f"{name}_loss became {found.loss:g} after epoch {self.state.epoch}: lower lr")
                values |= {f"{name}_loss": found.loss, f"{name}_accuracy": found.accuracy}
                values |= {f"{name}_{key}": value for key, value in found.others.items()}
        return values

    def _judgement(
        self, model: nn.Module, part: Pixels, by: Callable[[nn.Module, Pixels], Judgement] | None
    ) -> Judgement:
        return judge(model, part, fabric=self.fabric) if by is None else by(model, part)

    def _snapshot(self, epoch: int) -> None:
        """Save what is judged beside the run's model; what a killed process left of it goes first."""
        place = self.run.folder / SNAPSHOTS / f"epoch-{epoch:04d}"
        if self.fabric.is_global_zero and place.is_dir():
            shutil.rmtree(place)
        self._keep(epoch, place)

    def _keep(self, epoch: int, folder: Path) -> None:
        """Save what is judged as a model."""
        if not self.fabric.is_global_zero:
            return
        model = deepcopy(self.model).float().eval()  # as it will be loaded, whatever the precision of the training
        assert isinstance(model, Model)
        stamp = {"command": "train", "run": str(self.run.folder), "epoch": epoch}
        told = {**stamp, "config": dict(self.run.config), "versions": versions()}
        save(model, folder, record=told)

    def _checkpoint(self) -> None:
        random = random_states(self.fabric)
        if self.fabric.is_global_zero:
            self.run.checkpoint(self._parts(), random)

    def _log(self, values: dict[str, Any]) -> None:
        if self.fabric.is_global_zero:
            self.run.log(values)

    def _is_over(self) -> bool:
        return self.stopping is not None and self.stopping.is_over

    def _named_sets(self) -> list[tuple[str, Any]]:
        return [("train", self.sets.train), ("val", self.sets.val), ("test", self.sets.test)]


def _short(name: str, value: float) -> str:
    if "accuracy" in name:
        return f"{value:.2%}"
    return f"{value:.2e}" if name == "lr" else f"{value:.4f}"
