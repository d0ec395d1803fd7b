"""Train a recipe with every combination of some options, several at a time, and set what came out side by side.

  pellucid sweep classify digits --epochs 5 --grid lr=0.03,0.003,0.0003 batch-size=16,64 -o sweeps/lr
  pellucid sweep classify digits --epochs 5 --schedule constant --lr 0.01 --grid optimizer=sgd,momentum,adam -o sweeps/o
  pellucid sweep classify digits --epochs 5 --grid weight-decay=0,0.01 label-smoothing=0,0.1 --repeats 3 -o sweeps/reg

--grid takes option=value,value,... (or option=value;value where a value has a comma of its own, as augmentation has).
Every combination is a run in a folder named by its settings. A sweep that was stopped goes on with the same command and
--resume: runs that have finished are kept, half ones go on. A run that fails is told and stops no other.
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import add_options, given, plain, print_table, progress, typed_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jsonargparse import ArgumentParser

    from pellucid.methods import Method


OWN = ("repeats",)
"""Options that the sweep takes itself, also where a recipe has one of the name."""


def arguments(parser: "ArgumentParser") -> None:
    """A command for each recipe, with its options, which all runs share."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    from pellucid.methods import methods, summary
    from pellucid.training import engine, recipes

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(required=True, dest="recipe", metavar="RECIPE", help="what to train")
    for name, recipe in methods(recipes).items():
        typed = name.replace("_", "-")
        one = ArgumentParser(
            prog=f"pellucid sweep {typed}",
            usage=f"pellucid sweep {typed} DATA --grid OPTION=VALUE,VALUE ... -o OUT [options]",
            description=summary(recipe),
            exit_on_error=False,
        )
        one.add_argument("data", type=str, help="what to learn from (see pellucid train --help)")
        one.add_argument("-o", "--out", type=str, required=True, help="folder of the sweep")
        one.add_argument("--grid", type=str, nargs="+", required=True, help="what varies: option=value,value,... each")
        repeats = "runs of each combination, each with a seed of its own (default: 1)"
        one.add_argument("--repeats", type=int, default=1, help=repeats)
        one.add_argument("--jobs", type=int, default=2, help="runs at a time (default: 2)")
        one.add_argument("--resume", action="store_true", help="go on with the sweep in OUT, if there is one")
        one.add_argument("--force", action="store_true", help="replace the sweep in OUT")
        for heading, function in (("what all runs share", recipe), ("where they run", engine)):
            add_options(one.add_argument_group(heading), function, skip=OWN, tells_default=True)
        kinds.add_subcommand(typed, one, help=summary(recipe))


def run(args: Namespace) -> int:
    """Train them all; print the table."""
    from pellucid import training
    from pellucid.methods import methods
    from pellucid.training import recipes, sweep

    asked = getattr(args, args.recipe)
    name = args.recipe.replace("-", "_")
    recipe = methods(recipes)[name]
    functions = (recipe, training.engine)
    fixed: dict[str, Any] = {}
    for function in functions:
        fixed |= given(asked, function, skip=OWN)
    grid = _grid(asked.grid, functions)
    failed = 0
    try:
        with progress():
            for told in sweep(
                name,
                asked.data,
                asked.out,
                grid,
                repeats=asked.repeats,
                jobs=asked.jobs,
                resume=asked.resume,
                force=asked.force,
                **{key: value for key, value in fixed.items() if key not in grid},
            ):
                if "failed" in told.values:
                    failed = int(told.values["failed"])
                    _table(Path(asked.out))
                print(plain(told.text), flush=True)
    except KeyboardInterrupt as interrupt:
        next_step = "; ".join(getattr(interrupt, "__notes__", ["go on with the same command and --resume"]))
        print(f"pellucid: interrupted; its runs were stopped; {plain(next_step)}")
        return 130
    print(f"page: {plain(str((Path(asked.out) / 'index.html').resolve()))}")
    return 1 if failed else 0


def _grid(texts: list[str], functions: "Sequence[Method]") -> dict[str, list[Any]]:
    """Options and their values, each of its option's kind."""
    grid: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            raise ValueError(f"--grid takes option=value,value,..., got {text!r}")
        several = values.split(";" if ";" in values else ",")
        for key, value in typed_options(functions, [f"{name}={one.strip()}" for one in several], "--grid"):
            grid.setdefault(key, []).append(value)
    return grid


def _table(folder: Path) -> None:
    """What came out, a row a setting."""
    import json

    from pellucid.training.sweep_results import HEAD, sweep_rows

    print_table(
        HEAD, sweep_rows(json.loads((folder / "table.json").read_text(encoding="utf-8"))), right=(1, 2, 3, 4, 5)
    )
