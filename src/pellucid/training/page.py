"""The page of a run: what came out, what happened on the way, and with which options."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.files import written
from pellucid.methods import methods, options
from pellucid.records import Record

from .engine import engine
from .runs import Run
from .story import story
from .summaries import Summary, changed, defaults, stamp, summarised

CURVES = (
    ("Loss", "mean cross-entropy, nats", {"loss": "train, as met", "train_loss": "train, judged", "val_loss": "val"}),
    (
        "Accuracy",
        "share that is right",
        {"accuracy": "train, as met", "train_accuracy": "train, judged", "val_accuracy": "val"},
    ),
    ("Learning rate", "learning rate", {"lr": "learning rate"}),
)
"""What is drawn: title, unit upwards, and the values with the names of their curves."""

LAST = 12
"""Epochs the page shows as numbers; metrics.csv has all."""

Curve = dict[str, tuple[Tensor, Tensor]]


def write_page(run: Run, folder: Path | None = None) -> Path:
    """Write a run's page as index.html into its folder, or into another; the file."""
    path = (run.folder if folder is None else folder) / "index.html"
    text = run_page(run)
    with written(path) as new:
        new.write_text(text, "utf-8", "backslashreplace")
    return path


def run_page(run: Run) -> str:
    """A run's page as HTML; it can be asked for at any time, also while the run is training.

    Raises:
        ValueError: a file of the run is damaged.
    """
    about, records = summarised(run), run.records()
    happened = story(records, wanted=about.wanted, classes=about.classes or 0)
    if about.limit is not None:
        happened += f" Its time limit, {lasted(60 * about.limit)}, stopped it; --resume goes on."
    notes = [str(note) for note in run.results.get("notes", [])]
    sections = [
        _progress(about, records, happened),
        _options(run.config),
        *([report.Section("notes", "Notes", "What was left out, and why.", report.plain_list(notes))] if notes else []),
        _next(about),
    ]
    told = stamp(run.folder)
    made = Record(**{field.name: told[field.name] for field in fields(Record) if field.name in told})
    return report.page(_title(about), _subtitle(about), _facts(about, run.results), sections, made)


def curves_of(records: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Curve:
    """Values over the epochs, by the names of their curves; those that are never told are left out."""
    found = {}
    for name, curve in names.items():
        points = [(line["epoch"], line[name]) for line in records if line.get("epoch") and line.get(name) is not None]
        if points:
            across, up = torch.tensor(points, dtype=torch.float64).unbind(dim=1)
            found[curve] = (across, up)
    return found


def _title(about: Summary) -> str:
    return f"{about.model or about.recipe} on {Path(about.data).name or about.data}"


def _subtitle(about: Summary) -> str:
    when = about.made.replace("T", " ").removesuffix("+00:00")
    state = {"finished": "finished", "training": "still training", "stopped": "not finished"}[about.state]
    return (
        f"recipe {about.recipe}, begun on {when} UTC; {state}, epoch {about.epochs} of {about.wanted or about.epochs}"
    )


def _facts(about: Summary, results: Mapping[str, Any]) -> list[report.Fact]:
    """What is worth knowing first."""
    facts = []
    if about.accuracy is not None and about.low is not None and about.high is not None:
        chance = f"; chance is {1 / about.classes:.1%}" if about.classes else ""
        unit = {"tabular": "rows", "jigsaw": "shuffled images"}.get(about.recipe, "images")
        unseen = "which no choice was made by" if about.judged_on == "test" else "by which the best epoch was chosen"
        text = f"of {about.count:,} {about.judged_on} {unit}, {unseen}, are right: 95 % interval {about.low:.1%} to "
        facts.append(report.Fact("right", f"{about.accuracy:.1%}", f"{text}{about.high:.1%}{chance}."))
    if about.best_epoch is not None:
        val = f" val accuracy {about.val_accuracy:.1%}," if about.val_accuracy is not None else ""
        loss = f" val loss {about.val_loss:.3g};" if about.val_loss is not None else ""
        text = f"of {about.epochs} done:{val}{loss} its weights are the ones that are kept."
        kept = "best epoch" if val or loss else "kept epoch"
        facts.append(report.Fact(kept, str(about.best_epoch), text))
    if about.seconds:
        pace = f", {results['images_per_second']:,.0f} images a second" if results.get("images_per_second") else ""
        size = f"; {about.parameters:,} trained numbers" if about.parameters is not None else ""
        facts.append(report.Fact("cost", lasted(about.seconds), f"of training{pace}{size}."))
    return facts


def lasted(seconds: float) -> str:
    """A time as people say it: 3.5 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _progress(about: Summary, records: Sequence[Mapping[str, Any]], happened: str) -> report.Section:
    """The curves, and the last epochs in numbers."""
    drawn = []
    for title, unit, names in CURVES:
        curves = curves_of(records, names)
        if curves:
            best = (
                {"best epoch": float(about.best_epoch)}
                if about.best_epoch is not None and title != "Learning rate"
                else {}
            )
            label = f"{title} over {about.epochs} epochs"
            figure = report.lines(
                curves,
                label,
                x="epoch",
                y=unit,
                is_from_zero=title != "Accuracy",
                upright=best,
                width=3.2,  # three fit beside each other
                height=2.6,
            )
            drawn.append((figure, _CAPTIONS[title]))
    body = report.drawings(drawn) if drawn else Markup("")
    told = [line for line in records if line.get("epoch")]
    if told:
        values = list(dict.fromkeys(name for line in told for name in line if name != "best"))
        rows = [[_cell(name, line.get(name)) for name in values] for line in told[-LAST:]]
        head = [name.replace("_", " ") for name in values]
        caption = f"The last {len(rows)} of {len(told)} epochs" if len(told) > LAST else f"All {len(told)} epochs"
        table = report.table(head, rows, f"{caption}; metrics.csv has every one", numbers=range(len(values)))
        body += report.details("The epochs in numbers", table)
    return report.Section("progress", "What happened", happened, body)


_CAPTIONS = {
    "Loss": "Low is good. Train values are met while the weights change, with dropout and augmentation on, so they may "
    "be worse than val values.",
    "Accuracy": "High is good. A train curve far above the val curve is overfitting.",
    "Learning rate": "How far each update goes, at the end of each epoch.",
}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if "accuracy" in name:
        return f"{value:.2%}"
    if name == "lr":
        return f"{value:.2e}"
    return f"{value:,.4f}" if isinstance(value, float) and name != "seconds" else f"{value:,}"


def _options(config: Mapping[str, Any]) -> report.Section:
    """What was asked for, and all options with what they mean."""
    from . import recipes

    recipe = str(config["recipe"])
    known = methods(recipes)
    functions = [known[recipe], engine] if recipe in known else []
    meaning = {option.name: option.told for function in functions for option in options(function)}
    usual, other = defaults(recipe), changed(config)
    rows = [
        (_typed(name), _value(value), _value(usual.get(name, "")), meaning.get(name, ""))
        for name, value in other.items()
    ]
    head = ("option", "here", "usually", "what it is")
    body = (
        report.table(head, rows, "Options that differ from the recipe's own", whole=(0, 1, 2)) if rows else Markup("")
    )
    everything = [(_typed(name), _value(value), meaning.get(name, "")) for name, value in config.items()]
    body += report.details(
        "All options", report.table(("option", "here", "what it is"), everything, "As in config.yaml", whole=(0, 1))
    )
    lead = (
        f"{len(rows)} {'option differs' if len(rows) == 1 else 'options differ'} from what recipe {recipe} does when "
        "nothing is said."
        if rows
        else (f"All options are what recipe {recipe} does when nothing is said.")
    )
    return report.Section("options", "How it was trained", lead, body)


def _typed(name: str) -> str:
    return name.replace("_", "-")


def _value(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value) or "–"


def _next(about: Summary) -> report.Section:
    """Commands that ask more of the run."""
    if about.state != "finished":
        asked = {
            f"pellucid train {_typed(about.recipe)} -o {about.folder} --resume": "goes on from the last checkpoint, as "
            "if nothing had happened"
        }
        return report.Section("next", "What to do next", "It has not come to its end.", report.definitions(asked))
    asked = {
        f"pellucid audit {about.folder} DATA -o audit": "where it errs, how sure it is, what it looks at",
        f"pellucid explain {about.folder} PICTURE -o maps": "where it looks in a picture",
        f"pellucid runs compare {about.folder} OTHER -o both": "this run beside others",
    }
    lead = "The run's folder is a model: every command that asks for a MODEL takes it."
    return report.Section("next", "What to ask next", lead, report.definitions(asked))
