"""Tabular: learn to tell the classes of a table's rows apart, and estimate how well that works on new rows.

The estimate is made on rows held out (holdout), on each part of the table in turn (kfold), or on each row in turn
(loo): M. Stone, "Cross-Validatory Choice and Assessment of Statistical Predictions", Journal of the Royal Statistical
Society B 36, 1974. https://doi.org/10.1111/j.2517-6161.1974.tb00994.x
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pellucid.checks import check_choice, check_count, near
from pellucid.data import Split, Table, builtin, content_keys, k_folds, leave_one_out, read_table, split_indices
from pellucid.data.builtin import TABLES
from pellucid.training.tabular import TableTraining

from ._table_page import write_page
from ._table_results import results_of
from ._told import Told
from ._trials import Trial, Trials

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from pellucid.training.runs import Run

ESTIMATES = ("holdout", "kfold", "loo")


def tabular(
    data: str,
    run: "Run",
    fabric: "Fabric",
    /,
    *,
    target: str = "",
    ignore: str = "",
    missing: str = "error",
    estimate: str = "holdout",
    folds: int = 5,
    repeats: int = 1,
    test: float = 0.1333,
    val: float = 0.1333,
    final: str = "",
    scaler: str = "minmax",
    hidden: int = 16,
    layers: int = 1,
    dropout: float = 0.0,
    epochs: int = 500,
    batch_size: int = 16,
    optimizer: str = "adam",
    lr: float = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    monitor: str = "val_loss",
    patience: int | None = 100,
    min_delta: float = 0.0,
    every: int = 50,
    seed: int = 0,
) -> Iterator[Told]:
    """Learn to classify the rows of a table of numbers.

    Args:
        data: a built-in table (iris, circles, moons), or a .csv file with a heading.
        run: the folder it is told in; where it holds a checkpoint, the training goes on there.
        fabric: device and precision; one process.
        target: name of the column that holds the class; the last column by default.
        ignore: names of columns to leave out, parted by commas, such as a row's own number.
        missing: what a missing value does: error, drop (leaves the row out) or mean (of the column in training).
        estimate: holdout (test rows held out), kfold (each part once) or loo (each row once, a training each).
        folds: parts of kfold, from 2 to the rows of the smallest class.
        repeats: times holdout or kfold is done with another split; more than one give a mean and its interval.
        test: share of the rows (below 1), or their number, that holdout judges on.
        val: share of all rows (below 1), or their number, to choose the best epoch by; 0 takes the last epoch.
        final: model kept: best (epoch or training), refit (on all but test, or all rows), or "": best for one holdout.
        scaler: minmax, standard, whiten (by principal axes) or none; fitted on the rows to train on.
        hidden: units of each hidden layer, at least 1.
        layers: hidden layers; 0 is a linear model.
        dropout: share of hidden units that are silent in a training step, in [0, 1).
        epochs: passes over the rows to train on at most, at least 1.
        batch_size: rows a step, at least 1.
        optimizer: sgd, momentum, nesterov, rmsprop, adam, adamw, adagrad or lbfgs.
        lr: learning rate, positive.
        momentum: of momentum and nesterov, in [0, 1).
        weight_decay: at least 0, such as 5e-4 (gradient += weight_decay x weight); biases are not decayed.
        schedule: constant, step, exponential, inverse, cosine, cyclic, one_cycle or plateau (half lr after 3 epochs).
        monitor: val_loss, val_accuracy, loss or accuracy: by which the best epoch is chosen.
        patience: epochs without a better value after which training stops; None never stops early.
        min_delta: what counts as better must differ by more than this, at least 0.
        every: epochs between two checkpoints.
        seed: of the splits, the first weights, the order and dropout.

    Yields:
        Told, at the beginning, every so many epochs or after each training, and once at the end.

    Raises:
        ValueError: an option is out of range, or the table cannot be used; says the remedy.
    """
    for name, number, least in (("folds", folds, 2), ("repeats", repeats, 1), ("every", every, 1), ("seed", seed, 0)):
        check_count(name, number, least)
    check_choice("estimate", estimate, ESTIMATES)
    check_choice("final", final, ("", "best", "refit"))
    if fabric.world_size > 1:
        raise ValueError(f"devices must be 1 for tables, which are small, got {fabric.world_size} processes")
    table, notes = open_table(data, target=target, ignore=ignore, missing=missing)
    trials = _trials(table, estimate, folds=folds, repeats=repeats, test=test, val=val, seed=seed)
    trials, refit = _with_final(table, trials, final)
    if schedule == "plateau" and (refit is not None or not len(trials[0].split.val)):
        remedy = "final best" if refit is not None else "val"
        raise ValueError(f"schedule plateau must have val rows to watch: give {remedy}, or take another schedule")

    def make(trial: Trial) -> TableTraining:
        return TableTraining(
            table,
            trial.split,
            scaler=scaler,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            epochs=trial.epochs or epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            monitor=monitor,
            patience=patience,
            min_delta=min_delta,
            seed=trial.seed,
            fabric=fabric,
        )

    if not run.is_finished:
        following = Trials(run, table, trials, refit, make, every)
        yield _beginning(table, trials, notes)
        yield from following()
        results = results_of(table, following.done.outcomes, estimate=estimate, repeats=repeats, notes=notes)
        names = [outcome.name for outcome in following.done.outcomes]
        write_page(run, table, results, dict(zip(names, following.done.curves, strict=False)))
        run.finish(results)
    yield _end(run)


def open_table(
    data: str, *, target: str = "", ignore: str = "", missing: str = "error"
) -> tuple[Table, tuple[str, ...]]:
    """The table, and what was done to it; options as of `tabular`."""
    check_choice("missing", missing, ("error", "drop", "mean"))
    if data in TABLES:
        given = {"target": target, "ignore": ignore}
        for name, value in given.items():
            if value:
                raise ValueError(f"{name} is for .csv files; {data} is built in")
        found = builtin(data, split="all")
        assert isinstance(found, Table)
        return found, ()
    if not data.lower().endswith((".csv", ".tsv", ".txt")):
        if Path(data).is_dir():
            raise ValueError(f"{data}: is a folder, not a table; pellucid train classify learns from pictures")
        raise ValueError(f"{data}: no such table; give a .csv file, or {', '.join(TABLES)}{near(data, TABLES)}")
    table = read_table(data, target=target, ignore=ignore, missing="keep" if missing == "mean" else missing)
    notes = [f"{table.dropped} rows lack a value and are left out"] if table.dropped else []
    holes = int(table.values.isnan().sum())
    notes += [f"{holes} missing values are replaced by their column's mean in training"] if holes else []
    return table, tuple(notes)


def _trials(
    table: Table, estimate: str, *, folds: int, repeats: int, test: float, val: float, seed: int
) -> list[Trial]:
    """Which rows each training learns from, chooses by and is judged on."""
    if estimate == "loo" and repeats > 1:
        raise ValueError(f"repeats must be 1 with loo, which has no other split, got {repeats}")
    keys = content_keys(table.values)
    if estimate == "holdout":
        if not test:
            raise ValueError("test must be above 0 with holdout: nothing would be judged")
        splits = [
            split_indices(table.targets, val=val, test=test, contents=keys, generator=_seeded(seed + number))
            for number in range(repeats)
        ]
        return [Trial(f"split {n + 1}" if repeats > 1 else "holdout", s, seed + n) for n, s in enumerate(splits)]
    trials = []
    for repeat in range(repeats):
        generator = _seeded(seed + repeat)
        if estimate == "loo":
            found = leave_one_out(len(table), contents=keys)
        else:
            found = k_folds(table.targets, folds=folds, contents=keys, generator=generator)
        for number, fold in enumerate(found, start=1):
            own = [keys[row] for row in fold.train.tolist()]
            chosen = val if val >= 1 else round(val * len(table))  # a share of all rows, as their number
            inner = split_indices(table.targets[fold.train], val=chosen, test=0.0, contents=own, generator=generator)
            split = Split(fold.train[inner.train], fold.train[inner.val], fold.held)
            name = f"row {int(table.rows[fold.held[0]])}" if estimate == "loo" else f"fold {number}"
            trials.append(Trial(f"{name}, repeat {repeat + 1}" if repeats > 1 else name, split, seed + repeat))
    return trials


def _with_final(table: Table, trials: list[Trial], final: str) -> tuple[list[Trial], Split | None]:
    """The trials, and what the kept model learns from at last; None where the best of them is kept."""
    none = torch.zeros(0, dtype=torch.int64)
    if final == "best" or (not final and len(trials) == 1):
        return trials, None
    if len(trials) > 1:
        return trials, Split(torch.arange(len(table)), none, none)
    only, split = trials[0], trials[0].split  # it tells how many epochs are best; the test rows are for the last model
    together = torch.cat([split.train, split.val]).sort().values
    return [Trial(only.name, Split(split.train, split.val, none), only.seed)], Split(together, none, split.test)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _beginning(table: Table, trials: list[Trial], notes: tuple[str, ...]) -> Told:
    parts = [
        (len(part), name) for part, name in zip(vars(trials[0].split).values(), ("train", "val", "test"), strict=True)
    ]
    rows = ", ".join(f"{count} {name}" for count, name in parts if count)
    many = f"{len(trials)} trainings, the first of " if len(trials) > 1 else ""
    classes = len(table.classes)
    chance = f"chance is {torch.tensor(classes).log():.3f} nats, {1 / classes:.1%}"
    told = f"{many}{rows} rows; {len(table.columns)} columns, {classes} classes; {chance}"
    return Told("; ".join([told, *notes]), {"rows": len(table)})


def _end(run: "Run") -> Told:
    """What came out."""
    found = run.results
    judged, macro = found["test"], found["macro"]
    share = f"{judged['accuracy']:.2%} of {judged['count']} rows right"
    interval = f"95 % interval {judged['low']:.2%} to {judged['high']:.2%}"
    told = (
        f"{run.folder}: {share} ({interval}), macro F1 {macro['f1']:.4f}, {found['training_seconds']:.1f} s of training"
    )
    return Told(told, {name: value for name, value in judged.items() if isinstance(value, float)})
