"""What came out of the trainings on a table, as plain numbers."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F

from pellucid.data import Table
from pellucid.metrics import Interval, averages, confusion, per_class, proportion

from ._trials import Outcome


def results_of(
    table: Table, outcomes: Sequence[Outcome], *, estimate: str, repeats: int, notes: Sequence[str]
) -> dict[str, Any]:
    """What stands in results.json.

    Args:
        table: what was learned.
        outcomes: of every training, in order.
        estimate: holdout, kfold or loo.
        repeats: times it was done.
        notes: what was done to the table.
    """
    judged = [outcome for outcome in outcomes if len(outcome.held)]
    held = torch.cat([outcome.held for outcome in judged])  # rows may stand in it several times
    logits = torch.cat([outcome.logits for outcome in judged])
    targets, predicted = table.targets[held], logits.argmax(dim=1)
    scores = per_class(targets, predicted, len(table.classes))
    share = _share(table, judged, repeats)
    errors = [1 - _accuracy(table, outcome) for outcome in judged]
    last = outcomes[-1]
    named = {name: vars(averages(scores, name)) for name in ("macro", "weighted", "micro")}
    test = {"accuracy": share.value, "low": share.low, "high": share.high}
    return {
        "recipe": "tabular",
        "estimate": estimate,
        "repeats": repeats,
        "judged_on": "test",
        "test": {**test, "loss": float(F.cross_entropy(logits, targets)), "count": len(held)},
        "error_mean_of_folds": mean(errors),
        "error_pooled": float((targets != predicted).double().mean()),
        **named,
        "classes": [_class(table, scores, number) for number in range(len(table.classes))],
        "confusion": confusion(targets, predicted, len(table.classes)).tolist(),
        "folds": [_fold(table, outcome) for outcome in outcomes],
        "wrong": _wrong(table, held, logits),
        "best_epoch": last.best_epoch,
        "epochs": last.epochs,
        "steps": sum(outcome.steps for outcome in outcomes),
        "training_seconds": sum(outcome.seconds for outcome in outcomes),
        "rows": len(table),
        "columns": list(table.columns),
        "notes": list(notes),
    }


def _share(table: Table, judged: Sequence[Outcome], repeats: int) -> Interval:
    """Rows that are right: with Wilson's interval where each was judged once, else Student's over the repeats."""
    if repeats == 1:
        hits = sum(round(_accuracy(table, outcome) * len(outcome.held)) for outcome in judged)
        return proportion(hits, sum(len(outcome.held) for outcome in judged))
    from scipy.stats import t

    size = len(judged) // repeats
    shares = [
        mean(_accuracy(table, outcome) for outcome in judged[first : first + size])
        for first in range(0, len(judged), size)
    ]
    half = float(t.ppf(0.975, repeats - 1)) * stdev(shares) / repeats**0.5
    return Interval(mean(shares), max(0.0, mean(shares) - half), min(1.0, mean(shares) + half))


def _accuracy(table: Table, outcome: Outcome) -> float:
    return float((outcome.logits.argmax(dim=1) == table.targets[outcome.held]).double().mean())


def _class(table: Table, scores: Any, number: int) -> dict[str, Any]:
    """A class's own numbers; what is 0/0 is told as 0, and that it is."""
    numbers = {name: float(getattr(scores, name)[number]) for name in ("precision", "recall", "f1")}
    counts = {name: int(getattr(scores, name)[number]) for name in ("support", "predicted")}
    undefined = [
        name
        for name, is_undefined in (
            ("precision", bool(scores.lacks_precision[number])),
            ("recall", bool(scores.lacks_recall[number])),
        )
        if is_undefined
    ]
    return {"name": table.classes[number], **numbers, **counts, "undefined": undefined}


def _fold(table: Table, outcome: Outcome) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": outcome.name,
        "train": outcome.train,
        "val": outcome.val,
        "test": len(outcome.held),
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        **{name: value for name, value in outcome.best.items() if name.startswith("val_")},
    }
    if len(outcome.held):
        targets = table.targets[outcome.held]
        scores = per_class(targets, outcome.logits.argmax(dim=1), len(table.classes))
        told |= {"test_loss": float(F.cross_entropy(outcome.logits, targets))}
        told |= {"test_accuracy": _accuracy(table, outcome), "test_macro_f1": averages(scores).f1}
    return told


def _wrong(table: Table, held: torch.Tensor, logits: torch.Tensor) -> list[dict[str, Any]]:
    """The rows taken for another class, the surest first."""
    probabilities = logits.softmax(dim=1)
    sure, predicted = probabilities.max(dim=1)
    places = torch.nonzero(predicted != table.targets[held])[:, 0]
    places = places[sure[places].argsort(descending=True, stable=True)]
    return [
        {
            "row": int(table.rows[held[place]]),
            "true": table.classes[int(table.targets[held[place]])],
            "predicted": table.classes[int(predicted[place])],
            "probability": float(sure[place]),
        }
        for place in places
    ]
