"""What one `pellucid transfer` leaves: tables, numbers, the page, the best probe and its model."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid import models
from pellucid.features.probes import save_probe
from pellucid.files import write_json
from pellucid.records import Record, record

from ._transfer_facts import summary
from ._transfer_found import Found
from ._transfer_page import transfer_page
from ._transfer_trials import costs_of, names_of

if TYPE_CHECKING:
    from pellucid.models import Model


def written(folder: Path, model: "Model", args: Namespace, found: Found) -> None:
    """Every file of OUT."""
    made = _record(model, args, found)
    _write_layers(folder / "layers.csv", found)
    _write_predictions(folder / "predictions.csv", found)
    write_json(folder / "summary.json", {**summary(found), "record": made.json()})
    write_json(folder / "record.json", made.json())
    save_probe(found.best.fit.probe, folder / "probe", about=found.about(args.pool))
    if found.kept.model is not None:
        models.save(found.kept.model, folder / "model", record=made.json())
    page = transfer_page(found, made, model)
    (folder / "index.html").write_text(page, "utf-8", "backslashreplace")


def _record(model: "Model", args: Namespace, found: Found) -> Record:
    names = (
        "size",
        "pool",
        "folds",
        "repeats",
        "origins",
        "near",
        "held",
        "shown",
        "map",
        "class_level",
        "store",
        "classic",
    )
    options = {
        "layers": list(dict.fromkeys(trial.layer for trial in found.trials.deep)),
        "probe": names_of(args.probe),
        "normalise": names_of(args.normalise),
        "costs": list(costs_of(args.costs)),
        **{name: getattr(args, name) for name in names},
        "words": found.words.count if found.words else None,
    }
    sets = found.rows.sets
    told = {
        "path": sets.train.path,
        "split": sets.train.split,
        "images": found.trials.train,
        "test": {
            "path": sets.test.path if sets.test else sets.train.path,
            "split": sets.test.split if sets.test else f"held out, {args.held:g}",
            "images": found.trials.test,
        },
    }
    return record(
        "transfer", options=options, model=model.source, seed=args.seed, data=told, device=str(model.mean.device)
    )


def _write_layers(path: Path, found: Found) -> None:
    """A row a trial."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        head = ["layer", "probe", "normalise", "dimension", "chosen", "cross_validated", "test_accuracy", "low", "high"]
        table.writerow([*head, "seconds", *(f"drawn_{n}" for n in range(1, 1 + len(found.best.repeats))), "best"])
        for trial in found.trials.rows:
            share = trial.accuracy
            row = [trial.layer, trial.kind, trial.normalise, trial.dimension, trial.fit.chosen, trial.fit.score]
            row += [share.value, share.low, share.high, round(trial.seconds, 3), *trial.repeats]
            table.writerow([*row, int(trial is found.best)])


def _write_predictions(path: Path, found: Found) -> None:
    """A row a test picture, as the best probe tells it."""
    rows, names = found.rows, found.rows.classes
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "label_name", "predicted", "predicted_name", "correct"])
        for row, said in zip(rows.test.tolist(), found.best.predicted.tolist(), strict=True):
            label = int(rows.targets[row])
            table.writerow([rows.files[row], label, names[label], said, names[said], int(label == said)])
