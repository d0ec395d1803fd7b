"""Runs side by side: the options that differ, what came out, and their curves over one another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pellucid import report
from pellucid.files import new_folder, write_json
from pellucid.records import record

from .page import curves_of, lasted
from .runs import Run
from .summaries import Summary, differing, short_names, summarised

MOST = 12
"""Runs whose curves one figure holds."""

PANELS = (
    ("val_loss", "Loss on val", "mean cross-entropy, nats", "Low is good."),
    ("loss", "Loss on train, as met", "mean cross-entropy, nats", "Low is good; met while the weights change."),
    ("val_accuracy", "Accuracy on val", "share that is right", "High is good; the best epoch is chosen by it."),
    ("lr", "Learning rate", "learning rate", "At the end of each epoch."),
)
"""What is drawn: value, title, unit upwards, and what to see."""

OUTCOMES = ("accuracy", "95 % interval", "val accuracy", "val loss", "best epoch", "time")
"""The columns of what came out."""


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side."""

    names: tuple[str, ...]  # (R,), short ones
    runs: tuple[Summary, ...]  # (R,)
    options: tuple[str, ...]  # (D,), those that are not the same in all
    values: tuple[tuple[str, ...], ...]  # (R, D)
    curves: Mapping[str, Mapping[str, tuple[Tensor, Tensor]]]  # value -> run -> (epochs (T,), values (T,))

    @property
    def best(self) -> int | None:
        """Place of the run with the best val accuracy, else of the lowest val loss; test values choose nothing."""
        shares = [(one.val_accuracy, place) for place, one in enumerate(self.runs) if one.val_accuracy is not None]
        losses = [(-one.val_loss, place) for place, one in enumerate(self.runs) if one.val_loss is not None]
        found = shares or losses
        return max(found, key=lambda pair: (pair[0], -pair[1]))[1] if found else None


def compared(folders: Sequence[str | Path]) -> Comparison:
    """Read several runs.

    Args:
        folders: of the runs, at least two.

    Raises:
        ValueError: there are fewer, one is named twice, or one is no run or damaged.
    """
    places = [Path(folder) for folder in folders]
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise ValueError(f"runs to compare must be at least two different ones, got {', '.join(map(str, folders))}")
    runs = [Run(place) for place in places]
    names = short_names(places)
    configs = [run.config for run in runs]
    options = differing(configs)
    records = {name: run.records() for name, run in zip(names, runs, strict=True)}
    curves: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
    for value, *_ in PANELS:
        own = {name: curves_of(lines, {value: name}) for name, lines in records.items()}
        curves[value] = {name: found[name] for name, found in own.items() if found}
    found_in = tuple(summarised(run) for run in runs)
    usual = [{**config, "model": one.model} for config, one in zip(configs, found_in, strict=True)]  # "" is one too
    return Comparison(
        names=tuple(names),
        runs=found_in,
        options=tuple(options),
        values=tuple(tuple(_value(config.get(name)) for name in options) for config in usual),
        curves=curves,
    )


def comparison_rows(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the table: one a run, with what came out and then the options that differ."""
    head = ["run", *OUTCOMES, *(name.replace("_", "-") for name in found.options)]
    rows = []
    for name, values, one in zip(found.names, found.values, found.runs, strict=True):
        best = "–" if one.best_epoch is None else f"{one.best_epoch} of {one.wanted or one.epochs}"
        loss = "–" if one.val_loss is None else f"{one.val_loss:.4f}"
        interval = "–" if one.low is None or one.high is None else f"{one.low:.2%} to {one.high:.2%}"
        share = one.state if one.accuracy is None else f"{one.accuracy:.2%}"
        share += f" ({one.judged_on})" if one.judged_on == "val" else ""
        came_out = [share, interval, _share(one.val_accuracy), loss, best, lasted(one.seconds)]
        rows.append([name, *came_out, *values])
    return head, rows


def said(found: Comparison) -> str:
    """Which run is best, and whether the others are worse for sure, in a sentence."""
    if found.best is None:
        return "None of these runs has val values yet: there is nothing to choose by."
    best = found.runs[found.best]
    by = (
        f"{best.val_accuracy:.2%} of the val part right"
        if best.val_accuracy is not None
        else f"val loss {best.val_loss:.4f}"
    )
    told = f"“{found.names[found.best]}” is best by val: {by}."
    if len(_data(found)) > 1:
        return f"{told} But they learned from different data, and what is hard on one may be easy on another."
    if best.accuracy is None or best.low is None or best.high is None or best.judged_on != "test":
        return told
    told = f"{told} On test it has {best.accuracy:.2%} ({best.low:.2%} to {best.high:.2%})."
    alike = [
        name
        for name, one in zip(found.names, found.runs, strict=True)
        if one is not best
        and one.low is not None
        and one.high is not None
        and one.low <= best.high
        and one.high >= best.low
    ]
    if alike:
        told += f" The test intervals of {_listed(alike)} overlap with its own: those differences may be chance."
    return told


def write_comparison(found: Comparison, folder: str | Path, *, command: str = "runs", force: bool = False) -> None:
    """Write index.html, curves.png, comparison.json and record.json into a folder; all or nothing.

    Args:
        found: what to write.
        folder: to make.
        command: who makes it; only a folder of the same one is replaced.
        force: replace the folder if pellucid made it.
    """
    made = record(command, options={"runs": [one.folder for one in found.runs]}, model={})
    with new_folder(folder, force=force, command=command) as place:
        (place / "index.html").write_text(report.page(*_page(found), made), "utf-8", "backslashreplace")
        figures = [report.Curves(title, curves, "epoch", unit) for title, unit, _, curves in _panels(found)]
        if figures:
            report.line_sheet(figures, place / "curves.png", f"{len(found.runs)} runs on {_listed(_data(found))}")
        write_json(place / "comparison.json", _json(found))
        write_json(place / "record.json", made.json())


def comparison_sections(found: Comparison) -> list[report.Section]:
    """The table and the curves, as parts of a page."""
    head, rows = comparison_rows(found)
    right = range(1, 1 + len(OUTCOMES))
    table = report.table(
        head,
        rows,
        f"{len(rows)} runs; only the options that differ have a column",
        numbers=right,
        whole=range(len(head)),
    )
    same = (
        "all their options are the same"
        if not found.options
        else f"they differ in {_listed(head[1 + len(OUTCOMES) :])}"
    )
    drawn = [
        (report.lines(curves, f"{title} of each run", x="epoch", y=unit), f"{title}. {text}")
        for title, unit, text, curves in _panels(found)
    ]
    few = f" The first {MOST} of {len(rows)}." if len(rows) > MOST else ""
    sections = [report.Section("runs", "The runs", f"{said(found)} As for how they were trained, {same}.", table)]
    if drawn:
        lead = f"Each colour and stroke is one run, the same in all figures.{few}"
        sections.append(report.Section("curves", "How they learned", lead, report.drawings(drawn)))
    return sections


def _page(found: Comparison) -> tuple[str, str, list[report.Fact], list[report.Section]]:
    subtitle = f"trained on {_listed(_data(found))}; {sum(one.state == 'finished' for one in found.runs)} have finished"
    return f"{len(found.runs)} runs side by side", subtitle, [], comparison_sections(found)


def _data(found: Comparison) -> list[str]:
    return list(dict.fromkeys(one.data for one in found.runs))


def _panels(found: Comparison) -> list[tuple[str, str, str, dict[str, tuple[Tensor, Tensor]]]]:
    """Title, unit, text and curves of every figure that has some."""
    shown = found.names[:MOST]
    panels = []
    for value, title, unit, text in PANELS:
        curves = {name: found.curves[value][name] for name in shown if name in found.curves[value]}
        if curves:
            panels.append((title, unit, text, curves))
    return panels


def _json(found: Comparison) -> dict[str, Any]:
    runs = [
        {"name": name, "options": dict(zip(found.options, values, strict=True)), **one.json()}
        for name, values, one in zip(found.names, found.values, found.runs, strict=True)
    ]
    return {"format": 1, "runs": runs, "best_by_val": None if found.best is None else found.names[found.best]}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None or value == "" else str(value)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:4], *([f"{len(names) - 4} more"] if len(names) > 4 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
