"""The table of a ladder: how good each rung is, what its step is worth, and whether that can be told from chance."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pellucid.metrics import Interval, student

from ._rungs import Plan

HEAD = ("step", "test accuracy", "gain, points", "best epoch", "train - test", "seconds", "weights")


def results_of(records: Sequence[Mapping[str, Any]], plan: Plan) -> dict[str, Any]:
    """What came out, as it stands in results.json.

    Args:
        records: a line for each training, with its rung and repeat.
        plan: what was trained and what is compared.
    """
    lines = {rung.name: [line for line in records if line.get("rung") == rung.name] for rung in plan.rungs}
    rows = []
    for rung in plan.rungs:
        own = lines[rung.name]
        gain = plan.gain(rung)
        pairs = zip(lines[gain.has], lines[gain.lacks], strict=True) if gain else ()
        gains = [has["test_accuracy"] - lacks["test_accuracy"] for has, lacks in pairs]
        rows.append(
            {
                "rung": rung.name,
                "steps": list(rung.steps),
                "step": gain.step if gain else "",
                "compared_with": (gain.lacks if rung.name == gain.has else gain.has) if gain else "",
                "test_accuracy": _interval([line["test_accuracy"] for line in own]),
                "gain": _interval(gains) if gains else None,
                "best_epochs": [line["best_epoch"] for line in own],
                "train_accuracy": fmean(line["train_accuracy"] for line in own),
                "gap": fmean(line["train_accuracy"] - line["test_accuracy"] for line in own),
                "seconds": fmean(line["seconds"] for line in own),
                "parameters": own[0]["parameters"],
                "runs": [line["folder"] for line in own],
            }
        )
    return {
        "recipe": "ladder",
        "repeats": len(lines[plan.rungs[0].name]),
        "rows": rows,
        "said": said(rows),
        "training_seconds": sum(line["seconds"] for own in lines.values() for line in own),
    }


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """The table as lines of one width, under it the sentences."""
    rows = [HEAD, *(cells(row) for row in results["rows"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(_placed(row, widths)).rstrip() for row in rows]
    return [*lines, *results["said"]]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row as text; shares in percent, gains and gaps in points."""
    epochs = row["best_epochs"]
    shown = ", ".join(map(str, epochs)) if len(epochs) <= 5 else f"{min(epochs)} to {max(epochs)}"
    return (
        row["rung"],
        _share(row["test_accuracy"]),
        "" if row["gain"] is None else _points(row["gain"]),
        shown,
        f"{100 * row['gap']:+.2f}",
        f"{row['seconds']:.1f}",
        f"{row['parameters']:,}",
    )


def said(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which steps improved, which did not, and for which that cannot be told."""
    gains = [row for row in rows if row["gain"] is not None]
    groups: dict[str, list[str]] = {}
    for row in gains:
        groups.setdefault(_verdict(row["gain"]), []).append(f"{row['step']} ({_points(row['gain'])} points)")
    words = {
        "better": "Improved: {}.",
        "worse": "Made worse: {}.",
        "chance": "Not told from chance, for 0 lies in the interval: {}.",
        "single up": "Higher in the one repeat: {}; how much of it is chance, only more repeats can tell.",
        "single down": "Not higher in the one repeat: {}; only more repeats can tell whether that is chance.",
    }
    return [told.format(", ".join(groups[key])) for key, told in words.items() if key in groups]


def _verdict(gain: Mapping[str, Any]) -> str:
    if gain["low"] is None:
        return "single up" if gain["value"] > 0 else "single down"
    if gain["low"] > 0:
        return "better"
    return "worse" if gain["high"] < 0 else "chance"


def _interval(values: Sequence[float]) -> dict[str, float | None]:
    found: Interval = student(values)
    if math.isinf(found.low):
        return {"value": found.value, "low": None, "high": None}
    return {"value": found.value, "low": found.low, "high": found.high}


def _share(told: Mapping[str, Any]) -> str:
    half = "" if told["low"] is None else f" ± {50 * (told['high'] - told['low']):.2f}"
    return f"{100 * told['value']:.2f}{half} %"


def _points(told: Mapping[str, Any]) -> str:
    half = "" if told["low"] is None else f" ± {50 * (told['high'] - told['low']):.2f}"
    return f"{100 * told['value']:+.2f}{half}"


def _placed(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
