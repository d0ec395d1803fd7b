"""Train a network by a recipe: everything about it goes into one folder, the run.

  pellucid train classify digits --epochs 6 --seed 3 -o runs/a
  pellucid train classify photos/ --model resnet18 --augmentation hflip=0.5,crop=4 -o runs/b
  pellucid train finetune torchvision:mobilenet_v2 photos/ --then-unfreeze true -o runs/c
  pellucid train classify --help

DATA is a built-in set (digits, cifar10, mnist) or a folder or zip of labelled pictures. The run holds config.yaml,
metrics.jsonl and .csv, the last checkpoint, the best model and a page; give the folder wherever a MODEL is asked for. A
run that was stopped or killed goes on with the same command and --resume, as if nothing had happened.
"""

import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from ._shared import add_options, plain, progress, typed_options

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.methods import Method
    from pellucid.training.recipes import Told


MODEL_FIRST = frozenset({"finetune"})
"""Recipes that begin with a trained model: it stands before DATA, in the place of --model."""


def arguments(parser: "ArgumentParser") -> None:
    """A command for each recipe, with the options of its function and of the engine."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    from pellucid.methods import methods, options, summary
    from pellucid.training import engine, recipes

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(required=True, dest="recipe", metavar="RECIPE", help="what to train")
    for name, recipe in methods(recipes).items():
        one = ArgumentParser(
            prog=f"pellucid train {_typed(name)}",
            usage=f"pellucid train {_typed(name)} {'MODEL ' if name in MODEL_FIRST else ''}DATA -o RUN [options]",
            description=summary(recipe),
            exit_on_error=False,
        )
        config = "read data and options from this YAML file, such as a run's config.yaml; what is typed wins"
        one.add_argument("--config", type=str, default="", help=config)
        if name in MODEL_FIRST:
            one.add_argument("trained", type=str, nargs="?", default="", metavar="MODEL", help="the trained one")
        one.add_argument("data", type=str, nargs="?", default="", help="what to learn from (see pellucid train --help)")
        one.add_argument("-o", "--out", type=str, required=True, help="folder of the run")
        one.add_argument("--resume", action="store_true", help="go on with the run in OUT, if there is one")
        one.add_argument("--force", action="store_true", help="replace the run in OUT")
        limit = "stop when the epoch is over in which so many minutes have passed; --resume goes on (default: None)"
        one.add_argument("--minutes", type=float | None, default=None, help=limit)
        one.add_argument("--set", type=str, default=[], action="append", help="any option, as option=value")
        if "augmentation" in [option.name for option in options(recipe)]:
            sheet = "train nothing: write into OUT five training images before and after --augmentation"
            one.add_argument("--show-augmentation", action="store_true", help=sheet)
        for heading, function in (("what is learned, and how", recipe), ("where it runs", engine)):
            group = one.add_argument_group(heading)
            skip = ["model"] if name in MODEL_FIRST else []
            add_options(group, function, skip=skip, late=[option.name for option in options(function)])
        kinds.add_subcommand(_typed(name), one, help=summary(recipe))


def run(args: Namespace) -> int:
    """Train; say what comes out, epoch by epoch."""
    from pellucid import training
    from pellucid.methods import methods
    from pellucid.training import recipes
    from pellucid.training.runs import is_run
    from pellucid.training.sweep import WITH_STDIN

    if WITH_STDIN in os.environ:
        Thread(target=_end_with_stdin, daemon=True).start()
    asked = getattr(args, args.recipe)
    name = args.recipe.replace("-", "_")
    recipe = methods(recipes)[name]
    chosen = _chosen(recipe, asked)
    data = str(chosen.pop("data", ""))
    if getattr(asked, "show_augmentation", False):
        from ._augmented import show

        return show(_said(data), {**training.defaults(name), **chosen}, asked.out, force=asked.force)
    if asked.resume and is_run(Path(asked.out)):
        told = _resumed(Path(asked.out), name, data, chosen, asked.minutes)
    elif asked.resume and not data:
        raise ValueError(f"{asked.out}: holds no run to go on with; name the folder of one, or DATA to begin one")
    else:
        told = training.start(name, _said(data), asked.out, force=asked.force, minutes=asked.minutes, **chosen)
    try:
        _show(told)
    except KeyboardInterrupt as interrupt:
        if not is_run(Path(asked.out)):
            raise
        if getattr(interrupt, "__notes__", []):
            print(f"pellucid: interrupted; {plain('; '.join(interrupt.__notes__))}")
            return 130
        place = plain(shlex.quote(asked.out))
        print(f"pellucid: interrupted; go on with: pellucid train {args.recipe} -o {place} --resume")
        return 130
    page = Path(asked.out) / "index.html"
    if page.is_file() and os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"page: {plain(str(page.resolve()))}")
    return 0


def _end_with_stdin() -> None:
    """Ask this process to end, politely, once the one that started it is gone."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _chosen(recipe: "Method", asked: Namespace) -> dict[str, Any]:
    """Data and options: those of the file, over them those of --set, over them those typed as flags."""
    from pellucid import training
    from pellucid.methods import options

    functions = (recipe, training.engine)
    flags = [option.name for function in functions for option in options(function) if hasattr(asked, option.name)]
    read = _read(recipe, asked.config) if asked.config else {}
    typed = {**dict(typed_options(functions, asked.set, "--set")), **{name: getattr(asked, name) for name in flags}}
    trained = {"model": asked.trained} if getattr(asked, "trained", "") else {}
    return {**read, **typed, **trained, **({"data": asked.data} if asked.data else {})}


def _read(recipe: "Method", file: str) -> dict[str, Any]:
    """Data and options of a YAML file."""
    import yaml

    from pellucid import training

    try:
        told = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: not readable ({' '.join(str(error).split())})") from error
    if not isinstance(told, dict):
        raise ValueError(f"{file}: must hold options, one a line, such as epochs: 6")
    if told.pop("recipe", recipe.__name__) != recipe.__name__:
        raise ValueError(f"{file}: is of another recipe than {recipe.__name__}")
    data = {"data": str(told.pop("data"))} if "data" in told else {}
    pairs = [f"{name}={'null' if value is None else value}" for name, value in told.items()]
    return {**dict(typed_options((recipe, training.engine), pairs, file)), **data}


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


def _resumed(folder: Path, name: str, data: str, chosen: dict[str, Any], minutes: float | None) -> "Iterator[Told]":
    """The run goes on as it was begun: what is typed now must not say otherwise."""
    from pellucid import training

    config = training.Run(folder).config
    for key, value in {"recipe": name, **({"data": data} if data else {}), **chosen}.items():
        if config.get(key) != value:
            word = key.replace("_", "-")
            remedy = {"recipe": "name that one", "data": "leave it out"}.get(key, f"leave --{word} out")
            raise ValueError(
                f"{folder} was begun with {word} {config.get(key)}, not {value}; {remedy}, or use a new -o"
            )
    return training.resume(folder, minutes=minutes)


def _typed(name: str) -> str:
    """A recipe's name as it is typed."""
    return name.replace("_", "-")
