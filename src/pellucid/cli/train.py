"""Train a network by a recipe: everything about it goes into one folder, the run.

  pellucid train classify digits --epochs 6 --seed 3 -o runs/a
  pellucid train classify photos/ --model resnet18 --augmentation hflip=0.5,crop=4 -o runs/b
  pellucid train classify --help

DATA is a built-in set (digits, cifar10, mnist) or a folder or zip of labelled pictures. The run holds config.yaml,
metrics.jsonl and .csv, the last checkpoint, the best model and a page; give the folder wherever a MODEL is asked for. A
run that was stopped or killed goes on with the same command and --resume, as if nothing had happened.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import add_options, given, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.methods import Method
    from pellucid.training.recipes import Told


def arguments(parser: "ArgumentParser") -> None:
    """A command for each recipe, with the options of its function and of the engine."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    from pellucid.methods import methods, summary
    from pellucid.training import engine, recipes

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(required=True, dest="recipe", metavar="RECIPE", help="what to train")
    for name, recipe in methods(recipes).items():
        one = ArgumentParser(prog=f"pellucid train {_typed(name)}", description=summary(recipe), exit_on_error=False)
        one.add_argument(
            "--config", action="config", help="read options from this YAML file, such as a run's config.yaml"
        )
        one.add_argument("data", type=str, nargs="?", default="", help="what to learn from (see pellucid train --help)")
        one.add_argument("-o", "--out", type=str, required=True, help="folder of the run")
        one.add_argument("--resume", action="store_true", help="go on with the run in OUT, if there is one")
        one.add_argument("--force", action="store_true", help="replace the run in OUT")
        one.add_argument("--set", type=list[str], default=[], action="append", help="any option, as option=value")
        sheet = "train nothing: write into OUT five training images before and after --augmentation"
        one.add_argument("--show-augmentation", action="store_true", help=sheet)
        add_options(one, recipe)
        add_options(one, engine)
        kinds.add_subcommand(_typed(name), one, help=summary(recipe))


def run(args: Namespace) -> int:
    """Train; say what comes out, epoch by epoch."""
    from pellucid import training
    from pellucid.methods import methods
    from pellucid.training import recipes
    from pellucid.training.runs import is_run

    asked = getattr(args, args.recipe)
    name = args.recipe.replace("-", "_")
    recipe = methods(recipes)[name]
    chosen = {**given(asked, recipe), **given(asked, training.engine), **_set(recipe, asked.set)}
    if asked.show_augmentation:
        from ._augmented import show

        return show(name, _said(asked.data), chosen, asked.out, force=asked.force)
    if asked.resume and is_run(Path(asked.out)):
        told = _resumed(Path(asked.out), name, asked.data, chosen, recipe)
    else:
        told = training.start(name, _said(asked.data), asked.out, force=asked.force, **chosen)
    try:
        _show(told)
    except KeyboardInterrupt:
        print(f"pellucid: interrupted; go on with: pellucid train {args.recipe} -o {plain(asked.out)} --resume")
        return 130
    return 0


def _said(data: str) -> str:
    """DATA, which must be given where no run tells it."""
    if not data:
        raise ValueError("say what to learn from: a built-in set (digits, cifar10, mnist), a folder or a zip")
    return data


def _show(told: "Iterator[Told]") -> None:
    """Every line as it comes; in a terminal, how long it will take stands below."""
    with progress():
        for line in told:
            print(plain(line.text), flush=True)


def _resumed(folder: Path, name: str, data: str, chosen: dict[str, Any], recipe: "Method") -> "Iterator[Told]":
    """The run goes on as it was begun: what is typed now must not say otherwise."""
    from pellucid import training
    from pellucid.methods import options

    config = training.Run(folder).config
    usual = {option.name: option.default for option in (*options(recipe), *options(training.engine))}
    typed = {key: value for key, value in chosen.items() if value != usual[key]} | ({"data": data} if data else {})
    for key, value in {"recipe": name, **typed}.items():
        if config.get(key) != value:
            flag = key.replace("_", "-")
            raise ValueError(
                f"{folder} was begun with {flag} {config.get(key)}, not {value}; leave --{flag} out, or use a new -o"
            )
    return training.resume(folder)


def _set(recipe: "Method", pairs: list[str]) -> dict[str, Any]:
    """Options given as option=value."""
    from jsonargparse import ArgumentParser

    from pellucid import training
    from pellucid.checks import near
    from pellucid.methods import options

    known = {option.name for function in (recipe, training.engine) for option in options(function)}
    parser = ArgumentParser(exit_on_error=False)
    add_options(parser, recipe)
    add_options(parser, training.engine)
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.replace("-", "_")
        if not equals or key not in known:
            raise ValueError(f"--set takes option=value, got {pair!r}{near(key, known)}")
        found[key] = getattr(parser.parse_args([f"--{key.replace('_', '-')}={value}"]), key)
    return found


def _typed(name: str) -> str:
    """A recipe's name as it is typed."""
    return name.replace("_", "-")
