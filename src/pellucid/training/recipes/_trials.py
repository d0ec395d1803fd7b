"""Several trainings on splits of one table, one after the other, as one run that can be gone on with at any epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.data import Split, Table, stamp_of
from pellucid.models import TableModel, save_table_model
from pellucid.progress import steps as progress
from pellucid.records import versions
from pellucid.training.runs import Part, Run
from pellucid.training.tabular import FAR, TableTraining

from ._told import Told

DRAWN = 10
"""Trainings whose curves are kept, the first ones; more in one figure cannot be told apart."""


@dataclass(frozen=True)
class Trial:
    """One training to be done."""

    name: str  # what the fold table calls it
    split: Split
    seed: int  # of first weights, order and dropout
    epochs: int | None = None  # exactly so many; None: as the options say, with early stopping


@dataclass(frozen=True)
class Outcome:
    """What came out of one."""

    name: str
    train: int  # rows
    val: int  # rows
    held: Tensor  # (n,), int64, positions of the rows it was judged on; may be none
    logits: Tensor  # (n, K), float64
    best_epoch: int
    epochs: int  # done
    steps: int
    seconds: float
    best: Mapping[str, float]  # values of the best epoch


@dataclass
class Trials:
    """The trainings of a run.

    Args:
        run: where everything goes.
        table: what is learned.
        trials: to be done, in order; each is judged on its test rows.
        refit: rows to train the run's model on at last, for as many epochs as were best (in the middle, of several);
            None: the model is the best of the trials, by what they watch.
        make: (split, seed, epochs) -> a fresh training.
        every: epochs between two checkpoints.
    """

    run: Run
    table: Table
    trials: Sequence[Trial]
    refit: Split | None
    make: Callable[[Trial], TableTraining]
    every: int
    done: "Done" = field(default_factory=lambda: Done())

    def __call__(self) -> Iterator[Told]:
        """Go on where the last checkpoint stands; what is done is in `done.outcomes` at the end."""
        self.run.learn_from({"table": stamp_of(self.table.values, self.table.targets, self.table.classes)})
        training = self._fresh()
        if self.run.restore(self._parts(training)) and self.done.outcomes:
            training = self._fresh()  # the checkpoint is of a later one
            self.run.restore(self._parts(training))
        with progress("trainings", self._count) as done:
            done(len(self.done.outcomes))
            while (trial := self._next()) is not None:
                yield from self._trained(trial, training)
                self._finish(trial, training)
                done(1)
                if self._next() is not None:
                    training = self._fresh()
                    self.run.checkpoint(self._parts(training))
                if self._count > 1:
                    yield self._said(self.done.outcomes[-1])

    @property
    def _count(self) -> int:
        return len(self.trials) + (self.refit is not None)

    def _next(self) -> Trial | None:
        """What is to be done now."""
        number = len(self.done.outcomes)
        if number < len(self.trials):
            return self.trials[number]
        if self.refit is None or number == self._count:
            return None
        epochs = round(median(outcome.best_epoch for outcome in self.done.outcomes))
        return Trial("refit", self.refit, self.trials[0].seed, max(1, epochs))

    def _fresh(self) -> TableTraining:
        trial = self._next()
        assert trial is not None
        torch.manual_seed(trial.seed * FAR + len(self.done.outcomes))
        return self.make(trial)

    def _parts(self, training: TableTraining) -> dict[str, Part]:
        return {**training.parts, "done": self.done}

    def _trained(self, trial: Trial, training: TableTraining) -> Iterator[Told]:
        is_only = len(self.trials) == 1 and trial.epochs is None
        number = len(self.done.outcomes)
        for values in training():
            if len(self.trials) > 1 and number < min(DRAWN, len(self.trials)):
                curves = self.done.curves
                curves += [[] for _ in range(number + 1 - len(curves))]
                curves[number].append(values.get("val_loss", values["loss"]))
            if is_only:
                self.run.log(values)
            if values["epoch"] % self.every and not training.is_over:
                continue
            if is_only and self.refit is None:
                self._save(training)
            if not training.is_over or len(self.trials) == 1:  # a time limit may stop it behind what is told
                self.run.checkpoint(self._parts(training))
            if len(self.trials) == 1:
                yield Told(_line(trial, values, training), values)

    def _finish(self, trial: Trial, training: TableTraining) -> None:
        """Judge what was trained on its test rows; keep it if it is what the run is to give."""
        model = training.best()
        held = trial.split.test
        with torch.no_grad():
            logits = model(self.table.values[held]).double() if len(held) else torch.zeros(0, len(self.table.classes))
        outcome = Outcome(
            name=trial.name,
            train=len(trial.split.train),
            val=len(trial.split.val),
            held=held,
            logits=logits,
            best_epoch=training.kept.epoch,
            epochs=training.state.epoch,
            steps=training.state.steps,
            seconds=training.kept.seconds,
            best=training.kept.values,
        )
        is_last = len(self.done.outcomes) + 1 == self._count
        if is_last if self.refit is not None else self._is_best(training, outcome):
            self._save(training)
        self.done.outcomes.append(outcome)
        if len(self.trials) > 1:
            number = len(self.done.outcomes)
            self.run.log({"epoch": number, "steps": outcome.steps, **_judged(self.table, outcome)})

    def _is_best(self, training: TableTraining, outcome: Outcome) -> bool:
        """By the value they watch, of rows nobody trained on, and never by the test rows."""
        name = training.stopping.monitor if training.chooses else "loss"
        sign = 1 if training.stopping.mode == "max" and training.chooses else -1
        return all(sign * outcome.best[name] > sign * before.best[name] for before in self.done.outcomes)

    def _save(self, training: TableTraining) -> None:
        model: TableModel = training.best()
        stamp = {"command": "train", "run": str(self.run.folder), "epoch": training.kept.epoch}
        told = {**stamp, "config": dict(self.run.config), "versions": versions()}
        save_table_model(model, self.run.folder, record=told)

    def _said(self, outcome: Outcome) -> Told:
        values = _judged(self.table, outcome)
        words = [f"{name.replace('_', ' ')} {_short(name, value)}" for name, value in values.items()]
        number = len(self.done.outcomes)
        place = f"training {number} of {self._count}"
        best = f"best epoch {outcome.best_epoch} of {outcome.epochs}"
        told = ", ".join([f"{place} ({outcome.name}): {best}", *words, f"{outcome.seconds:.1f} s"])
        return Told(told, values if self._next() is None else {**values, "training": number})


class Done:
    """What is done, for a checkpoint."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.curves: list[list[float]] = []  # of the first trainings, the running one last: the watched loss by epoch

    def state_dict(self) -> dict[str, Any]:
        """As numbers, words and tensors."""
        outcomes = [{**vars(outcome), "best": dict(outcome.best)} for outcome in self.outcomes]
        return {"outcomes": outcomes, "curves": [list(curve) for curve in self.curves]}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where a saved one stood."""
        self.outcomes = [Outcome(**told) for told in saved["outcomes"]]
        self.curves = [list(curve) for curve in saved.get("curves", [])]


def _judged(table: Table, outcome: Outcome) -> dict[str, float]:
    """Its best val values, and loss and accuracy on the rows it was judged on."""
    found = {name: value for name, value in outcome.best.items() if name.startswith("val_")}
    if len(outcome.held):
        targets = table.targets[outcome.held]
        hits = (outcome.logits.argmax(dim=1) == targets).double().mean()
        found |= {"test_loss": float(F.cross_entropy(outcome.logits, targets)), "test_accuracy": float(hits)}
    return found


def _line(trial: Trial, values: Mapping[str, Any], training: TableTraining) -> str:
    kept = {name: value for name, value in values.items() if "loss" in name or "accuracy" in name}
    words = [f"{name.replace('_', ' ')} {_short(name, value)}" for name, value in kept.items()]
    words += [f"best so far: epoch {training.kept.epoch}"] if training.chooses else []
    return f"epoch {values['epoch']}/{training.epochs}{f' ({trial.name})' if trial.epochs else ''}: {', '.join(words)}"


def _short(name: str, value: float) -> str:
    return f"{value:.2%}" if "accuracy" in name else f"{value:.4f}"
