"""What came out of a sweep: a table with a row a setting, and a page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from pellucid import report
from pellucid.files import write_json, written
from pellucid.metrics import student
from pellucid.records import record

from .comparison import MOST, PANELS, compared, comparison_sections
from .page import lasted
from .runs import Run, is_run
from .summaries import Summary, summarised

if TYPE_CHECKING:
    from .sweep import Combination

HEAD = ("setting", "val accuracy", "test accuracy", "95 % interval", "best epoch", "time")


def results_of(folder: Path, combined: "Sequence[Combination]", failed: Mapping[str, str]) -> dict[str, Any]:
    """The table as it stands in results.json.

    Args:
        folder: of the sweep.
        combined: its runs.
        failed: name of a run -> why it failed.
    """
    settings: dict[str, list[Combination]] = {}
    for one in combined:
        settings.setdefault(one.setting, []).append(one)
    rows = [_row(folder, setting, own, failed) for setting, own in settings.items()]
    by_accuracy = [row for row in rows if row["val_accuracy"] is not None]
    by_loss = [row for row in rows if row["val_loss"] is not None]
    best: dict[str, Any] | None = None
    if by_accuracy:
        best = max(by_accuracy, key=lambda row: float(row["val_accuracy"]))
    elif by_loss:
        best = min(by_loss, key=lambda row: float(row["val_loss"]))
    results = {
        "recipe": "sweep",
        "repeats": max(len(own) for own in settings.values()),
        "rows": rows,
        "best_by_val": best["setting"] if best else None,
        "failed": {one.name: failed[one.name] for one in combined if one.name in failed},
        "training_seconds": sum(row["seconds"] for row in rows),
    }
    return {**results, "said": _said(results, best)}


def sweep_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of the table as text."""
    return [
        (
            row["setting"] + (" (best by val)" if row["setting"] == results["best_by_val"] else ""),
            _share(row["val_accuracy"]),
            _share(row["value"]),
            "–" if row["low"] is None else f"{row['low']:.2%} to {row['high']:.2%}",
            ", ".join(map(str, row["best_epochs"])) or "–",
            lasted(row["seconds"]) if row["runs"] else "failed",
        )
        for row in results["rows"]
    ]


def write_results(run: Run, results: Mapping[str, Any]) -> None:
    """Write table.json, index.html and figures/comparison.png into the sweep's folder."""
    with written(run.folder / "table.json") as new:
        write_json(new, dict(results))
    with written(run.folder / "index.html") as new:
        new.write_text(_page(run, results), "utf-8", "backslashreplace")
    firsts = _firsts(run, results)[:MOST]
    if len(firsts) > 1:
        found = compared(firsts)
        figures = [
            report.Curves(title, found.curves[value], "epoch", unit)
            for value, title, unit, _ in PANELS
            if found.curves[value]
        ]
        if figures:
            (run.folder / "figures").mkdir(exist_ok=True)
            title = f"{run.config['of']} on {Path(run.config['data']).name}: {', '.join(run.config['grid'])}"
            with written(run.folder / "figures" / "comparison.png") as new:
                report.line_sheet(figures, new, title)


def _row(folder: Path, setting: str, own: "Sequence[Combination]", failed: Mapping[str, str]) -> dict[str, Any]:
    """One setting over its repeats."""
    runs = [one.name for one in own if one.name not in failed and is_run(folder / one.name)]
    found: list[Summary] = [summarised(Run(folder / name)) for name in runs]
    shares = [one.accuracy for one in found if one.accuracy is not None]
    low, high = _interval(found, shares)
    return {
        "setting": setting,
        "runs": runs,
        "value": fmean(shares) if shares else None,
        "low": low,
        "high": high,
        "val_accuracy": _mean([one.val_accuracy for one in found]),
        "val_loss": _mean([one.val_loss for one in found]),
        "best_epochs": [one.best_epoch for one in found],
        "seconds": sum(one.seconds for one in found),
    }


def _interval(found: Sequence[Summary], shares: Sequence[float]) -> tuple[float | None, float | None]:
    """Of several repeats Student's, of the mean; of one the interval of its share of test images."""
    if len(shares) == 1:
        return next((one.low, one.high) for one in found if one.accuracy is not None)
    if not shares:
        return None, None
    told = student(shares)
    return (told.low, told.high) if math.isfinite(told.low) else (None, None)


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return fmean(there) if there else None


def _said(results: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    """The choice, and what could not be done."""
    parts = []
    if best is not None:
        by = (
            f"val accuracy {best['val_accuracy']:.2%}"
            if best["val_accuracy"] is not None
            else f"val loss {best['val_loss']:.4f}"
        )
        parts.append(f"Best by val: {best['setting']} ({by}).")
        if best["value"] is not None and best["low"] is not None:
            parts.append(f"On test it has {best['value']:.2%} ({best['low']:.2%} to {best['high']:.2%}).")
        if best["low"] is not None:
            alike = [row for row in results["rows"] if row is not best and _overlap(row, best)]
            some = "another setting" if len(alike) == 1 else f"{len(alike)} other settings"
            parts += (
                [f"The test intervals of {some} overlap with that: such differences may be chance."] if alike else []
            )
    else:
        has_run = any(row["runs"] for row in results["rows"])
        parts.append("No val part, so nothing is chosen." if has_run else "None has finished.")
    if results["failed"]:
        names = list(results["failed"])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        parts.append(f"{len(names)} failed: {', '.join(names[:3])}{more}.")
    return " ".join(parts)


def _overlap(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    return row["low"] is not None and row["low"] <= best["high"] and row["high"] >= best["low"]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _firsts(run: Run, results: Mapping[str, Any]) -> list[Path]:
    """The first run of every setting that has one."""
    return [run.folder / row["runs"][0] for row in results["rows"] if row["runs"]]


def _page(run: Run, results: Mapping[str, Any]) -> str:
    config = run.config
    made = record("sweep", options=config, model={}, seed=int(config["seed"]), data={"path": config["data"]})
    grid = "; ".join(
        f"{name.replace('_', '-')} {', '.join(map(str, values))}" for name, values in config["grid"].items()
    )
    when = made.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{grid}; {results['repeats']} a setting; written on {when} UTC"
    sections = [_settings(results)]
    if len(_firsts(run, results)) > 1:
        drawn = comparison_sections(compared(_firsts(run, results)))
        sections += [section for section in drawn if section.key == "curves"]  # the table stands above
    sections += [_runs(results)]
    title = f"Sweep of {config['of'].replace('_', '-')} on {Path(config['data']).name}"
    return report.page(title, subtitle, _facts(results), sections, made)


def _facts(results: Mapping[str, Any]) -> list[report.Fact]:
    best = next((row for row in results["rows"] if row["setting"] == results["best_by_val"]), None)
    facts = []
    if best is not None and best["value"] is not None:
        facts.append(report.Fact("best by val", best["setting"], f"has a test accuracy of {best['value']:.2%}."))
    told = f"of training in all, {sum(len(row['runs']) for row in results['rows'])} runs."
    facts.append(report.Fact("time", lasted(results["training_seconds"]), told))
    if results["failed"]:
        facts.append(
            report.Fact(
                "failed", f"{len(results['failed'])} runs", "; ".join(dict.fromkeys(results["failed"].values()))
            )
        )
    return facts


def _settings(results: Mapping[str, Any]) -> report.Section:
    rows = [
        report.Range(
            row["setting"],
            100 * row["value"],
            None if row["low"] is None else 100 * row["low"],
            None if row["high"] is None else 100 * row["high"],
            is_marked=row["setting"] == results["best_by_val"],
        )
        for row in results["rows"]
        if row["value"] is not None
    ]
    of = "of the mean over the repeats (Student's t)" if results["repeats"] > 1 else "of the share of test images"
    caption = f"Dots are means, lines 95 % intervals {of}; the coloured one is best by val."
    body = report.table(
        HEAD, sweep_rows(results), "The settings; also in table.json", numbers=range(1, len(HEAD)), whole=[0]
    )
    if rows:
        figure = report.ranges(rows, "Test accuracy of each setting", x="test accuracy, %", width=6.2)
        body += report.drawings([(figure, caption)])
    return report.Section("settings", "What came out", results["said"], body)


def _runs(results: Mapping[str, Any]) -> report.Section:
    links = [name for row in results["rows"] for name in row["runs"]]
    body = Markup("<p>{}</p>").format(
        Markup(" · ").join(Markup('<a href="{0}/index.html">{0}</a>').format(name) for name in links)
    )
    if results["failed"]:
        told = [(name, reason) for name, reason in results["failed"].items()]
        body += report.table(("run", "why"), told, "Runs that failed; logs/ has all that they said")
    return report.Section("all", "Every run", "Each is a folder beside this page, and a model.", body)
