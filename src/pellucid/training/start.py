"""Start a recipe in a new run, or go on with one: both yield what is told after every epoch."""

import inspect
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.checks import check_choice, near
from pellucid.methods import Method, methods, options

from ._clearing import give_back, has_learned, settle
from ._limits import go_on, stop
from .engine import engine
from .runs import Run, is_run

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from .recipes import Told


def start(
    recipe: str,
    data: str,
    folder: str | Path,
    /,
    *,
    force: bool = False,
    minutes: float | None = None,
    **given: Any,
) -> Iterator["Told"]:
    """Train by a recipe into a new run folder.

    Args:
        recipe: its name, such as classify.
        data: what it learns from.
        folder: of the run, to be made.
        force: replace a run that stands there, once the new one has learned something; else it comes back.
        minutes: after which it stops, when the epoch is over, to be gone on with; None never stops it.
        given: options of the recipe and of the engine (device, devices, nodes, strategy, precision).

    Yields:
        Told, after each epoch, and once more at the end.

    Raises:
        ValueError: an unknown recipe or option, a folder that must not be replaced, or whatever the recipe refuses.
    """
    from . import recipes

    known = methods(recipes)
    check_choice("recipe", recipe, known)
    run_on, told = _parted(known[recipe], given)
    _check_minutes(minutes)
    fabric = engine(**run_on)
    config = {"recipe": recipe, "data": data, **_defaults(engine), **run_on, **_defaults(known[recipe]), **told}
    run = _made(folder, config, fabric, force=force)
    try:
        yield from _going(known[recipe], run, fabric, minutes)
    except BaseException as error:
        if fabric.is_global_zero:
            _undo(run, error)
        raise


def resume(folder: str | Path, *, minutes: float | None = None) -> Iterator["Told"]:
    """Go on with a run where its last checkpoint stands; one that has finished is told again.

    Args:
        folder: of the run.
        minutes: as of start, counted from now.

    Yields:
        As start.

    Raises:
        ValueError: no run there, or one that cannot be gone on with; says why.
    """
    from . import recipes

    _check_minutes(minutes)
    run = Run(folder)
    known = methods(recipes)
    check_choice("recipe", str(run.config["recipe"]), known)
    recipe = known[str(run.config["recipe"])]
    given = {name: value for name, value in run.config.items() if name not in {"recipe", "data"}}
    fabric = engine(**_parted(recipe, given)[0])
    yield from _going(recipe, run, fabric, minutes)


def inside(run: Run, name: str, recipe: str, fabric: "Fabric", /, **given: Any) -> Run:
    """A run in a folder of another one, on the same data and devices; the one that is there, or a new one.

    Args:
        run: the other.
        name: of the folder.
        recipe: of the new run; it is not started.
        fabric: the other's.
        given: options of the recipe.
    """
    from . import recipes

    folder = run.folder / name
    if fabric.broadcast(is_run(folder)):
        return Run(folder)
    chosen = methods(recipes)[recipe]
    _, told = _parted(chosen, given)
    run_on = {key: run.config.get(key, value) for key, value in _defaults(engine).items()}
    config = {"recipe": recipe, "data": run.config["data"], **run_on, **_defaults(chosen), **told}
    return _made(folder, config, fabric, force=False)


def _going(recipe: Method, run: Run, fabric: "Fabric", minutes: float | None) -> Iterator["Told"]:
    told = {name: value for name, value in run.config.items() if name not in {"recipe", "data"}}
    _, kept = _parted(recipe, told)
    until = None if minutes is None else time.monotonic() + 60 * minutes
    if not fabric.is_global_zero:
        for one in recipe(str(run.config["data"]), run, fabric, **kept):  # the first process tells it
            if _is_over(one, run, fabric, until):
                break
        return
    with run.held():
        go_on(run)
        trained = recipe(str(run.config["data"]), run, fabric, **kept)
        for one in trained:
            settle(run.folder)
            yield one
            if _is_over(one, run, fabric, until):
                trained.close()
                assert minutes is not None
                yield stop(run, minutes)
                break


def _is_over(told: "Told", run: Run, fabric: "Fabric", until: float | None) -> bool:
    """Whether the time is up where a run can be gone on with: behind an epoch, though not the last, or a training."""
    if until is None:
        return False
    epoch, last = told.values.get("epoch", 0), run.config.get("epochs")
    is_between = 0 < epoch < (last or epoch + 1) or "training" in told.values
    is_late: bool = is_between and time.monotonic() >= until
    return bool(fabric.broadcast(is_late)) if fabric.world_size > 1 else is_late  # the first process's clock counts


def _check_minutes(minutes: float | None) -> None:
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be above 0, got {minutes}")


def _undo(run: Run, error: BaseException) -> None:
    """Leave nothing of a run that came to nothing; one that it was to replace comes back."""
    if not has_learned(run.folder) and give_back(run.folder):
        error.add_note(f"nothing was learned yet, so the run that was in {run.folder} before is back")
    elif isinstance(error, ValueError) and not run.records() and not has_learned(run.folder):
        shutil.rmtree(run.folder)  # refused before anything was learned


def _made(folder: str | Path, config: Mapping[str, Any], fabric: "Fabric", *, force: bool) -> Run:
    """The run, made by the first process; a refusal reaches all of them."""
    refusal = ""
    if fabric.is_global_zero:
        try:
            Run.create(folder, config, seed=int(config.get("seed", 0)), force=force)
        except ValueError as error:
            refusal = str(error)
    if fabric.world_size > 1:
        refusal = fabric.broadcast(refusal)
    if refusal:
        raise ValueError(refusal)
    return Run(folder)


def _parted(recipe: Method, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the engine, and of the recipe; others are refused."""
    of_engine, of_recipe = _defaults(engine), inspect.signature(recipe).parameters
    accepted = [*of_engine, *(option.name for option in options(recipe))]
    for name in given:
        if name not in of_engine and name not in of_recipe:
            raise ValueError(f"{recipe.__name__} has no option {name!r}{near(name, accepted)}")
    run_on = {name: value for name, value in given.items() if name in of_engine}
    return run_on, {name: value for name, value in given.items() if name not in of_engine}


def _defaults(function: Method) -> dict[str, Any]:
    return {option.name: option.default for option in options(function)}
