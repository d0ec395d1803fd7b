"""Runs at a glance: what each learned from, how far it came, and what came out; and where there are runs."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pellucid.checks import near
from pellucid.files import read_object
from pellucid.methods import methods, options

from .engine import engine
from .runs import Run, is_run


@dataclass(frozen=True)
class Summary:
    """A run at a glance; None where it says nothing of it."""

    folder: str
    recipe: str
    data: str
    model: str
    state: str  # finished, training or stopped
    epochs: int  # done; of a ladder, in all its trainings that are over
    wanted: int | None  # epochs
    best_epoch: int | None  # the one that is kept
    val_loss: float | None  # of the best epoch, nats
    val_accuracy: float | None  # of the best epoch, in [0, 1]
    accuracy: float | None  # of the kept model on what the run is judged on, in [0, 1]
    low: float | None  # 95 % interval of the accuracy
    high: float | None
    judged_on: str  # test, or val where there is no test part
    count: int | None  # images or rows it was judged on
    classes: int | None  # how many it tells apart
    parameters: int | None
    seconds: float  # of training
    made: str  # when it began, UTC, ISO 8601
    limit: float | None  # minutes after which its time limit stopped it

    def json(self) -> dict[str, Any]:
        """All of it as a dict for json.dump."""
        return asdict(self)


def find_runs(folders: Iterable[str | Path]) -> list[Path]:
    """Every run in folders and below them, in the order of their names.

    Raises:
        ValueError: a folder is not there, or holds no run.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        place = Path(folder)
        if not place.is_dir():
            known = [one.name for one in place.parent.iterdir()] if place.parent.is_dir() else []
            raise ValueError(f"{folder}: no such folder{near(place.name, known)}")
        below = sorted((Path(there) for there, _, _ in os.walk(place)), key=lambda path: path.parts)
        runs = [path for path in below if is_run(path) and not _is_hidden(path, place)]
        if not runs:
            raise ValueError(f"{folder}: holds no run; make one with pellucid train")
        found |= dict.fromkeys(runs)
    return list(found)


def summarised(run: Run) -> Summary:
    """A run at a glance.

    Raises:
        ValueError: one of its files is damaged.
    """
    records, results = run.records(), run.results
    told = [line for line in records if line.get("epoch")]
    best = next((line for line in told if line.get("epoch") == best_epoch(run)), {})
    judged_on = str(results.get("judged_on") or next((part for part in ("test", "val") if part in results), ""))
    judged = results.get(judged_on) or {}
    classes = results.get("classes")  # of tables: what is known of each
    unfinished = "training" if run.is_held else "stopped"
    done, wanted = _epochs(run, told)
    return Summary(
        folder=str(run.folder),
        recipe=str(run.config["recipe"]),
        data=str(run.config.get("data", "")),
        model=str(run.config.get("model") or _architecture(run.folder)),
        state="finished" if run.is_finished else unfinished,
        epochs=done,
        wanted=wanted,
        best_epoch=best_epoch(run),
        val_loss=best.get("val_loss"),
        val_accuracy=best.get("val_accuracy"),
        accuracy=judged.get("accuracy"),
        low=judged.get("low"),
        high=judged.get("high"),
        judged_on=judged_on,
        count=judged.get("count"),
        classes=len(classes) if isinstance(classes, list) else classes,
        parameters=results.get("parameters"),
        seconds=float(results.get("training_seconds") or sum(line.get("seconds", 0.0) for line in told)),
        made=str(stamp(run.folder).get("made", "")),
        limit=stamp(run.folder).get("limit"),
    )


def best_epoch(run: Run) -> int | None:
    """The epoch whose weights are kept; None before the first."""
    told = [line for line in run.records() if line.get("epoch")]
    marked = [line["epoch"] for line in told if line.get("best")]
    found = run.results.get("best_epoch") or (marked or [line["epoch"] for line in told] or [None])[-1]
    return None if found is None else int(found)


def defaults(recipe: str) -> dict[str, Any]:
    """What a recipe and the engine do when nothing else is said; empty for a recipe that is not known here."""
    from . import recipes

    known = methods(recipes)
    functions = [engine, known[recipe]] if recipe in known else []
    return {option.name: option.default for function in functions for option in options(function)}


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's options, those that differ from the recipe's defaults."""
    usual = defaults(str(config["recipe"]))
    return {
        name: value
        for name, value in config.items()
        if name not in {"recipe", "data"} and (name not in usual or usual[name] != value)
    }


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options that are not the same in all configurations, in the order of the first."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)]


def short_names(folders: Sequence[Path]) -> list[str]:
    """Names that tell runs apart: the last parts of their paths, as few as will do."""
    parts = [path.resolve().parts for path in folders]
    for count in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(own[-count:]) for own in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return ["/".join(own) for own in parts]


def stamp(folder: Path) -> dict[str, Any]:
    """What record.json says of how a run came to be."""
    return read_object(folder / "record.json")


def _is_hidden(path: Path, above: Path) -> bool:
    """Whether it stands in a hidden folder, as a run does that is being replaced."""
    return any(part.startswith(".") for part in path.relative_to(above).parts)


def _epochs(run: Run, told: Sequence[Mapping[str, Any]]) -> tuple[int, int | None]:
    """Epochs done and wanted."""
    wanted = run.config.get("epochs")
    if run.config["recipe"] != "ladder" or wanted is None:
        return int(run.results.get("epochs") or (told[-1]["epoch"] if told else 0)), wanted
    records = run.records()
    first = records[0] if records else {}
    count = len(first.get("rungs", ())) * int(first.get("repeats", 1))
    return sum(int(line.get("epochs", 0)) for line in records), int(wanted) * count if count else None


def _architecture(folder: Path) -> str:
    """What the run's model.json calls its network; "" where there is none yet."""
    path = folder / "model.json"
    return str(read_object(path).get("architecture", "")) if path.is_file() else ""
