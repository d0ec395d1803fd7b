"""The runs of `pellucid train`: list them, look at one, set several side by side.

  pellucid runs list runs
  pellucid runs show runs/a -o runs/a
  pellucid runs compare runs/a runs/b -o both

A run is a folder that pellucid train made. What is chosen, such as the best of several, is chosen by the val part; test
values are only told.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import plain, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from jsonargparse import ArgumentParser

    from pellucid.training.summaries import Summary

SORTS: "dict[str, Callable[[Summary], Any]]" = {
    "name": lambda one: Path(one.folder).parts,
    "made": lambda one: one.made,
    "val": lambda one: (-1 if one.val_accuracy is None else one.val_accuracy) * -1,
    "accuracy": lambda one: (-1 if one.accuracy is None else one.accuracy) * -1,
    "time": lambda one: one.seconds,
}
"""By what a list can be sorted."""

MANY = 6
"""Options that differ, of which the table of runs side by side has columns; of more it has lines."""

OWN_PAGE = ("tabular", "ladder")
"""Recipes whose page is drawn from more than the run's files: only their training can draw it again."""


def arguments(parser: "ArgumentParser") -> None:
    """A command for each thing to do with runs."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(required=True, dest="kind", metavar="KIND", help="what to do with runs")

    def kind(name: str, told: str) -> "ArgumentParser":
        one = ArgumentParser(prog=f"pellucid runs {name}", description=told, exit_on_error=False)
        kinds.add_subcommand(name, one, help=told)
        return one

    one = kind("list", "A table of every run in folders and below them.")
    one.add_argument("folders", type=str, nargs="+", help="folders to look in")
    sort = "name, made, val (best val accuracy first), accuracy (best test accuracy first) or time"
    one.add_argument("--sort", type=str, default="name", help=sort)
    one.add_argument("--json", action="store_true", help="print JSON instead of a table")
    one = kind("show", "What a run was told to do, how far it came, and what came out.")
    one.add_argument("run", type=str, help="folder of a run")
    one.add_argument("--last", type=int, default=5, help="epochs to print, from the end; at least 0")
    page = "write the run's page: into the run itself, or into a folder to make"
    one.add_argument("-o", "--out", type=str | None, default=None, help=page)
    one.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    one = kind("compare", "Runs side by side: the options that differ, what came out, and the curves in one figure.")
    one.add_argument("runs", type=str, nargs="+", help="folders of two or more runs")
    one.add_argument("-o", "--out", type=str | None, default=None, help="folder to make: a page and a figure")
    one.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")


def run(args: Namespace) -> int:
    """List, show or compare."""
    acts = {"list": _list, "show": _show, "compare": _compare}
    return acts[args.kind](getattr(args, args.kind))


def _list(asked: Namespace) -> int:
    from pellucid.checks import check_choice
    from pellucid.training import Run, find_runs, summarised

    check_choice("sort", asked.sort, SORTS)
    found, broken = [], []
    for folder in find_runs(asked.folders):
        try:
            found.append(summarised(Run(folder)))
        except ValueError as error:
            broken.append({"folder": str(folder), "reason": str(error)})
    found.sort(key=SORTS[asked.sort])
    if asked.json:
        told = {"format": 1, "runs": [one.json() for one in found], "broken": broken}
        print(json.dumps(told, indent=1, allow_nan=False))
    elif found:
        head = (
            "run",
            "recipe",
            "data",
            "model",
            "epochs",
            "state",
            "val accuracy",
            "accuracy",
            "95 % interval",
            "time",
        )
        print_table(head, [_row(one) for one in found], right=(4, 6, 7, 8, 9))
    for one in broken:
        print(f"pellucid: {plain(one['folder'])}: broken: {plain(one['reason'])}", file=sys.stderr)
    return 0


def _row(one: "Summary") -> tuple[str, ...]:
    from pellucid.training import lasted

    interval = "-" if one.low is None or one.high is None else f"{one.low:.2%} to {one.high:.2%}"
    share = "-" if one.accuracy is None else f"{one.accuracy:.2%}{' (val)' if one.judged_on == 'val' else ''}"
    val = "-" if one.val_accuracy is None else f"{one.val_accuracy:.2%}"
    epochs = f"{one.epochs}/{one.wanted}" if one.wanted is not None else str(one.epochs or "-")
    data = Path(one.data).name or one.data
    return (one.folder, one.recipe, data, one.model, epochs, one.state, val, share, interval, lasted(one.seconds))


def _show(asked: Namespace) -> int:
    from pellucid.checks import check_count
    from pellucid.training import Run, changed, lasted, story, summarised

    check_count("last", asked.last, 0)
    run = Run(asked.run)
    about, records, results = summarised(run), run.records(), run.results
    if asked.out is not None:
        _write_page(run, asked.out, force=asked.force)
    print(f"{plain(about.folder)}: {about.recipe} on {plain(about.data)}, {about.state}")
    options = [f"{name.replace('_', '-')} {value}" for name, value in changed(run.config).items()]
    facts = {
        "options": ", ".join(options) or "all as the recipe has them",
        "epochs": f"{about.epochs} of {about.wanted or about.epochs}, best {about.best_epoch or '-'}",
        "time limit": "" if about.limit is None else f"{lasted(60 * about.limit)}, which stopped it; --resume goes on",
        "what happened": story(records, wanted=about.wanted, classes=about.classes or 0),
        **{part: _judged(results[part]) for part in ("val", "test") if isinstance(results.get(part), dict)},
        **({"parameters": f"{about.parameters:,}"} if about.parameters is not None else {}),
        "notes": "; ".join(str(note) for note in results.get("notes", [])),
    }
    for name, value in facts.items():
        if value:
            print(f"{name:15}{plain(value)}")
    told = [line for line in records if line.get("epoch")][-asked.last :] if asked.last else []
    if told:
        head = list(dict.fromkeys(name for line in told for name in line))
        rows = [[_short(name, line.get(name)) for name in head] for line in told]
        print_table([name.replace("_", " ") for name in head], rows, right=range(len(head)))
    if asked.out is not None:
        print(f"page: {plain(str((Path(asked.out) / 'index.html').resolve()))}")
    return 0


def _write_page(run: Any, out: str, *, force: bool) -> None:
    """The page, into the run or into a new folder."""
    from pellucid.files import new_folder, write_json
    from pellucid.training import write_page
    from pellucid.training.summaries import stamp

    if Path(out).resolve() == run.folder.resolve():
        if run.config["recipe"] in OWN_PAGE:
            raise ValueError(f"the page of a {run.config['recipe']} run is drawn by its training; name another folder")
        write_page(run)
        return
    with new_folder(out, force=force, command="train") as folder:
        write_page(run, folder)
        write_json(folder / "record.json", stamp(run.folder))


def _judged(judged: "dict[str, Any]") -> str:
    share = f"accuracy {judged['accuracy']:.2%} of {judged['count']:,}"
    interval = f"95 % interval {judged['low']:.2%} to {judged['high']:.2%}"
    return f"{share} ({interval}), loss {judged['loss']:.4f}" if "loss" in judged else f"{share} ({interval})"


def _short(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else ""
    if "accuracy" in name:
        return f"{value:.2%}"
    if name == "lr":
        return f"{value:.2e}"
    return f"{value:.4f}" if isinstance(value, float) and name != "seconds" else str(value)


def _compare(asked: Namespace) -> int:
    from pellucid.files import check_new_folder
    from pellucid.training import compared, comparison_rows, said, write_comparison
    from pellucid.training.comparison import OUTCOMES

    if asked.out is not None:
        check_new_folder(asked.out, force=asked.force, command="runs")
    found = compared(asked.runs)
    head, rows = comparison_rows(found)
    if len(found.options) > MANY:  # a line an option, a column a run: what has too many columns cannot be read
        print_table(head[:1] + [row[0] for row in rows], list(zip(head[1:], *(row[1:] for row in rows), strict=True)))
    else:
        print_table(head, rows, right=range(1, 1 + len(OUTCOMES)))
    print(plain(said(found)))
    if asked.out is not None:
        write_comparison(found, asked.out, force=asked.force)
        print(f"page: {plain(str((Path(asked.out) / 'index.html').resolve()))}")
    return 0
