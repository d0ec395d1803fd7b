"""The page of a ladder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.files import write_json, written
from pellucid.records import record
from pellucid.training.page import curves_of
from pellucid.training.runs import Run
from pellucid.training.story import story

from ._ladder_table import HEAD, cells
from ._rungs import Plan
from ._seen import Seen

TOLD = {
    "base": "pixels in [0, 1], nothing else",
    "norm": "input normalised, fitted on the training part",
    "aug": "random changes of the training pictures",
    "sched": "a falling learning rate",
    "dropout": "features dropped at random in training",
    "bn": "batch norm behind each convolution",
}


def write_page(run: Run, plan: Plan, results: Mapping[str, Any], seen: Sequence[Seen]) -> None:
    """Write table.json and index.html into the ladder's folder."""
    with written(run.folder / "table.json") as new:
        write_json(new, {"rows": results["rows"], "said": results["said"]})
    with written(run.folder / "index.html") as new:
        new.write_text(_page(run, plan, results, seen), "utf-8", "backslashreplace")


def _page(run: Run, plan: Plan, results: Mapping[str, Any], seen: Sequence[Seen]) -> str:
    config, rows = run.config, results["rows"]
    made = record(
        "train",
        options=config,
        model={"architecture": config["net"]},
        seed=int(config["seed"]),
        data={"path": config["data"]},
    )
    when = made.made.replace("T", " ").removesuffix("+00:00")
    counts = ((config["epochs"], "epoch"), (results["repeats"], "repeat"))
    much = ", ".join(f"{number} {word}{'s' if number > 1 else ''}" for number, word in counts)
    some = "" if config["limit"] is None else f", {config['limit']:,} training images only"
    subtitle = f"mode {config['mode']}, {much}{some}; finished on {when} UTC"
    sections = [_steps(run, results), _curves(run, plan), _fed(seen), _trainings(rows)]
    data = str(config["data"]).rstrip("/").rpartition("/")[2]
    return report.page(f"What each step is worth: {config['net']} on {data}", subtitle, _facts(rows), sections, made)


def _facts(rows: Sequence[Mapping[str, Any]]) -> list[report.Fact]:
    first, last = rows[0], rows[-1]
    most_steps = max(len(row["steps"]) for row in rows)
    whole = [row for row in rows if len(row["steps"]) == most_steps]
    shown = whole[0] if len(whole) == 1 else first
    share = f"{shown['test_accuracy']['value']:.1%}"
    facts = [report.Fact("right", share, f"of the test images, with {', '.join(shown['steps'])}.")]
    facts += _most(rows)
    text = f"train less test accuracy on rung {last['rung']}; it was {100 * first['gap']:+.1f} on {first['rung']}."
    facts.append(report.Fact("overfitting", f"{100 * last['gap']:+.1f} points", text))
    return facts


def _most(rows: Sequence[Mapping[str, Any]]) -> list[report.Fact]:
    """The largest gain, unless chance may have brought it."""
    gains = [row for row in rows if row["gain"] is not None]
    if not gains:
        return []
    beyond = [row for row in gains if (row["gain"]["value"] if row["gain"]["low"] is None else row["gain"]["low"]) > 0]
    if not beyond:
        none = "no gain's interval lies above 0." if gains[0]["gain"]["low"] is not None else "no gain is above 0."
        return [report.Fact("worth most", "no rung beyond chance", none)]
    most = max(beyond, key=lambda row: float(row["gain"]["value"]))
    text = f"test accuracy by step {most['step']}: the largest gain"
    text += "; one repeat cannot tell it from chance." if most["gain"]["low"] is None else " told from chance."
    return [report.Fact("worth most", f"{100 * most['gain']['value']:+.1f} points", text)]


def _steps(run: Run, results: Mapping[str, Any]) -> report.Section:
    """The table, and both of its main columns drawn."""
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    accuracy = [
        report.Range(row["rung"], *(_percent(row["test_accuracy"][part]) for part in ("value", "low", "high")))  # type: ignore[arg-type]
        for row in rows
    ]
    drawn = [(report.ranges(accuracy, "Test accuracy of each rung", x="test accuracy, %"), _WHISKERS)]
    gains = [row for row in rows if row["gain"] is not None]
    if gains:
        shown = [
            report.Range(row["step"], *(_percent(row["gain"][part]) for part in ("value", "low", "high")))  # type: ignore[arg-type]
            for row in gains
        ]
        figure = report.ranges(shown, "Gain of each step", x="gain in test accuracy, points", zero=True)
        drawn.append((figure, "Right of the dashed line the step helps; an interval across it tells nothing."))
    caption = "The table; also in table.json. Best epochs are chosen on the val part, the test part is read once."
    body = report.table(HEAD, [cells(row) for row in rows], caption, numbers=range(1, len(HEAD)), whole=[0])
    meaning = {name: f"{told}{_how(name, run.config)}" for name, told in TOLD.items() if name in run.config["steps"]}
    body += report.drawings(drawn) + report.details("What the steps are", report.definitions(meaning))
    if results["repeats"] == 1:
        body += report.notice(
            "One repeat shows no spread: differences of a point or more may be chance. Use --repeats 3."
        )
    return report.Section("steps", "What each step is worth", " ".join(results["said"]) or "One rung.", body)


_WHISKERS = "Dots are means over the repeats, lines 95 % intervals of the mean (Student's t)."


def _how(name: str, config: Mapping[str, Any]) -> str:
    """A step as it was done here."""
    own = {"norm": "norm", "aug": "augmentation", "sched": "schedule", "dropout": "dropout"}
    return f": {config[own[name]]}" if name in own else ""


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _curves(run: Run, plan: Plan) -> report.Section:
    """The rungs of the first repeat over each other, and each by itself."""
    told = {rung.name: Run(run.folder / f"{rung.name}-0").records() for rung in plan.rungs}
    drawn = []
    for name, unit, caption in (
        ("val_accuracy", "val accuracy", "Higher is better. All rungs in their first repeat."),
        ("val_loss", "val loss, nats", "A curve that rises again overfits from there on."),
        ("loss", "train loss as met, nats", "With dropout and augmentation on, so it need not be below the val loss."),
    ):
        curves = {rung: curve for rung, lines in told.items() for curve in curves_of(lines, {name: rung}).values()}
        if curves:
            drawn.append((report.lines(curves, f"{unit} of each rung", x="epoch", y=unit), caption))
    stories = {rung: story(lines) for rung, lines in told.items()}
    body = report.drawings(drawn) + report.definitions(stories)
    return report.Section("curves", "How each rung learned", "The first repeat, epoch by epoch.", body)


def _fed(seen: Sequence[Seen]) -> report.Section:
    """The numbers themselves, as pictures."""
    entries = []
    for one in seen:
        parts = {"train": one.train, "val": one.val, "test": one.test}
        shown = [(_sheet(tensor), f"{name}: {_span(tensor)}") for name, tensor in parts.items() if tensor is not None]
        entries.append((one.name, "the first images of each part", [shown]))
    lead = (
        "What reached the first convolution, drawn from its lowest value (dark) to its highest. Only train pictures "
        "may be augmented; val and test were fed twice and were the same to the last bit."
    )
    return report.Section("fed", "What the network was fed", lead, report.gallery(entries, columns=3))


def _sheet(images: Tensor) -> str:
    values = images.float().cpu()
    low, high = values.amin(), values.amax()
    return report.data_uri(report.mosaic((values - low) / torch.where(high > low, high - low, 1), least=48))


def _span(images: Tensor) -> str:
    low, high, mean, std = (float(found) for found in (images.min(), images.max(), images.mean(), images.std()))
    return f"{low:.2f} to {high:.2f}, mean {mean:.2f}, std {std:.2f}"


def _trainings(rows: Sequence[Mapping[str, Any]]) -> report.Section:
    """Where the runs are."""
    told = [(row["rung"], ", ".join(row["steps"]), ", ".join(row["runs"])) for row in rows]
    body = report.table(("rung", "what is on", "runs"), told, "Folders beside this page, each with a page of its own")
    links = [name for row in rows for name in row["runs"]]
    body += Markup("<p>{}</p>").format(
        Markup(" · ").join(Markup('<a href="{0}/index.html">{0}</a>').format(name) for name in links)
    )
    return report.Section(
        "runs", "The trainings", "Each is a run and a model: audit, explain and predict take it.", body
    )
