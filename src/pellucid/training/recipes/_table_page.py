"""The page of a run on a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from markupsafe import Markup

from pellucid import report
from pellucid.data import Table
from pellucid.files import written
from pellucid.records import record
from pellucid.training.runs import Run

ON_PAGE = 40
"""Rows the page shows of a long table of mistakes or trainings; results.json has all."""

MOST_CLASSES = 30
"""Classes up to which the confusion matrix is drawn."""


Curves = Mapping[str, Sequence[float]]
"""The loss of each training by epoch: on its val rows, or as met where there are none."""


def write_page(run: Run, table: Table, results: Mapping[str, Any], curves: Curves) -> None:
    """Write index.html into the run's folder."""
    with written(run.folder / "index.html") as new:
        new.write_text(_page(run, table, results, curves), "utf-8", "backslashreplace")


def _page(run: Run, table: Table, results: Mapping[str, Any], curves: Curves) -> str:
    test, macro = results["test"], results["macro"]
    made = record(
        "train",
        options=run.config,
        model={"spec": str(run.folder), "architecture": "mlp"},
        seed=int(run.config.get("seed", 0)),
        data={"path": table.path, "rows": len(table), "columns": list(table.columns)},
    )
    when = made.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{len(table):,} rows of {len(table.columns)} columns, {len(table.classes)} classes; trained {when} UTC"
    interval = f"95 % interval {test['low']:.1%} to {test['high']:.1%}"
    right = report.Fact(
        "right", f"{test['accuracy']:.1%}", f"of {test['count']:,} rows held out are right; {interval}."
    )
    told = "the plain mean of the classes' F1, so that rare classes count as much as frequent ones."
    facts = [right, report.Fact("macro F1", f"{macro['f1']:.3f}", told)]
    if results["wrong"]:
        worst = results["wrong"][0]
        text = (
            f"of {worst['true']} is taken for {worst['predicted']}, {worst['probability']:.1%} sure: look at it first."
        )
        facts.append(report.Fact("surest mistake", f"row {worst['row']}", text))
    sections = [_quality(results), _mistakes(table, results), *_curves(run), *_folds(results, curves)]
    name = str(table.path).rpartition("/")[2]
    return report.page(f"{name}: a net that tells its classes apart", subtitle, facts, sections, made)


def _quality(results: Mapping[str, Any]) -> report.Section:
    """Averaged and per-class scores."""
    lead = f"{_how(results)} Macro is the plain mean over classes, weighted counts each class by its rows."
    averaged = [
        (name, *(f"{results[name][score]:.3f}" for score in ("precision", "recall", "f1")))
        for name in ("macro", "weighted", "micro")
    ]
    classes = [
        (
            one["name"],
            _share(one, "precision"),
            _share(one, "recall"),
            f"{one['f1']:.3f}",
            one["support"],
            one["predicted"],
        )
        for one in results["classes"]
    ]
    body = report.table(
        ("average", "precision", "recall", "F1"), averaged, "Scores over all classes", numbers=(1, 2, 3)
    )
    body += report.table(
        ("class", "precision", "recall", "F1", "rows", "taken for it"),
        classes,
        "Scores of each class",
        numbers=(1, 2, 3, 4, 5),
    )
    if any(one["undefined"] for one in results["classes"]):
        body += report.notice(
            "0/0 marks a share of nothing: no row was taken for the class, or none is of it; it counts 0."
        )
    return report.Section("quality", "How good it is", lead, body)


def _share(one: Mapping[str, Any], name: str) -> str:
    return "0/0" if name in one["undefined"] else f"{one[name]:.3f}"


def _how(results: Mapping[str, Any]) -> str:
    """What the estimate is of."""
    count, folds = results["test"]["count"], sum(1 for fold in results["folds"] if fold["test"])
    if folds == 1:
        return f"Judged on {count} rows that no choice was made by."
    again = f" {results['repeats']} times over" if results["repeats"] > 1 else ""
    ways = {"holdout": "held-out parts", "kfold": "parts, each held out in turn", "loo": "rows, each held out in turn"}
    pooled = f"mean error of the trainings {results['error_mean_of_folds']:.2%}, pooled over rows "
    return f"{folds} {ways[results['estimate']]}{again}: {pooled}{results['error_pooled']:.2%}."


def _mistakes(table: Table, results: Mapping[str, Any]) -> report.Section:
    """The confusion matrix, and the rows behind what is off its diagonal."""
    body = Markup("")
    if len(table.classes) <= MOST_CLASSES:
        body += report.grid(table.classes, results["confusion"], "Rows of each class, by what they were taken for")
    wrong: Sequence[Mapping[str, Any]] = results["wrong"]
    if wrong:
        place = {row: position for position, row in enumerate(table.rows.tolist())}
        rows = [
            (
                one["row"],
                one["true"],
                one["predicted"],
                f"{one['probability']:.1%}",
                *(f"{value:g}" for value in table.values[place[one["row"]]][:8].tolist()),
            )
            for one in wrong[:ON_PAGE]
        ]
        head = ("row", "is", "taken for", "sure", *table.columns[:8])
        shown = f"the first {ON_PAGE} of {len(wrong)}" if len(wrong) > ON_PAGE else f"{len(wrong)} in all"
        body += report.table(
            head, rows, f"Rows taken for another class, the surest first: {shown}", numbers=range(3, 12)
        )
    lead = "Rows of the matrix are true classes, columns what they were taken for; the diagonal is right."
    return report.Section("mistakes", "What it takes for what", lead, body)


def _curves(run: Run) -> list[report.Section]:
    """Loss and accuracy over the epochs, where a single training was followed."""
    lines = [line for line in run.records() if "loss" in line]
    if len(lines) < 2:
        return []
    epochs = torch.tensor([float(line["epoch"]) for line in lines])
    chosen = [line["epoch"] for line in lines if line.get("best")]
    drawn = []
    for name, unit, text in (
        ("loss", "mean cross-entropy, nats", "Low is good."),
        ("accuracy", "share of rows that is right", "High is good."),
    ):
        curves = {"train, as met": (epochs, torch.tensor([line[name] for line in lines]))}
        if f"val_{name}" in lines[0]:
            curves["val"] = (epochs, torch.tensor([line[f"val_{name}"] for line in lines]))
        label = f"{name} over {len(lines)} epochs"
        figure = report.lines(curves, label, x="epoch", y=unit, is_from_zero=name == "loss")
        drawn.append((figure, f"{name.capitalize()}. {text}"))
    best = f" Epoch {chosen[-1]} was best by {run.config.get('monitor')}" if "val_loss" in lines[0] else ""
    if best:
        best += ", the last there was: more epochs may be better." if chosen[-1] == lines[-1]["epoch"] else "."
    lead = f"Train values were met while the weights changed, val values after each epoch.{best}"
    return [report.Section("curves", "How it learned", lead, report.drawings(drawn))]


def _folds(results: Mapping[str, Any], curves: Curves) -> list[report.Section]:
    """Every training, where there are several; the curves of the first ones over each other."""
    folds: Sequence[Mapping[str, Any]] = results["folds"]
    if len(folds) == 1:
        return []
    names = ("train", "val", "test", "best_epoch", "epochs", "val_loss", "test_accuracy", "test_macro_f1")
    rows = [(fold["name"], *(_cell(name, fold.get(name)) for name in names)) for fold in folds[:ON_PAGE]]
    head = (
        "training",
        "train rows",
        "val rows",
        "test rows",
        "best epoch",
        "epochs",
        "val loss",
        "accuracy",
        "macro F1",
    )
    shown = f"Trainings: the first {ON_PAGE} of {len(folds)}" if len(folds) > ON_PAGE else "Trainings"
    lead = "Each fits its own scaler and chooses its own epoch; “refit” is the model that is kept, judged by none."
    if folds[-1]["name"] != "refit":
        lead = "Each fits its own scaler and chooses its own epoch; the one with the best val value is kept."
    elif folds[-1]["test"]:
        lead = "The first tells how many epochs are best; “refit” then learns from its train and val rows together."
    table = report.table(head, rows, shown, numbers=range(1, 9))
    return [report.Section("folds", "The trainings", lead, _over_each_other(folds, curves) + table)]


def _over_each_other(folds: Sequence[Mapping[str, Any]], curves: Curves) -> Markup:
    """Loss curves in one figure; nothing where no training has two epochs."""
    drawn = {
        name: (torch.arange(1.0, len(curve) + 1), torch.tensor(curve))
        for name, curve in curves.items()
        if len(curve) > 1
    }
    if not drawn:
        return Markup("")
    where = "val rows" if folds[0]["val"] else "train rows, as met"
    figure = report.lines(drawn, f"Loss of each training on its {where}", x="epoch", y="mean cross-entropy, nats")
    several = len(folds) - (folds[-1]["name"] == "refit")
    some = f" The first {len(drawn)} of {several}." if len(drawn) < several else ""
    text = f"Loss on the {where} of each training: low is good, and curves far apart say that chance is large.{some}"
    return report.drawings([(figure, text)])


def _cell(name: str, value: Any) -> str:
    if value is None or (name == "test_macro_f1" and not value and value != 0):
        return "–"
    if name == "test_accuracy":
        return f"{value:.1%}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
