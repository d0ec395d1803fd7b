"""Sweep: one recipe with every combination of some options, each a run of its own, several at a time.

Each run is a child process that does what `pellucid train` does; a run that has finished is not done again, one that
was cut short goes on, and one that fails stops no other.
"""

import itertools
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pellucid.checks import check_count, near
from pellucid.methods import methods, options
from pellucid.progress import steps as progress

from ._clearing import give_back, has_learned, is_replacing, settle
from .engine import engine
from .runs import Run, is_run
from .sets import frame_of
from .sweep_results import results_of, write_results

if TYPE_CHECKING:
    from .recipes import Told

PATIENCE = 10
"""Seconds that a child gets to end by itself when the sweep is stopped."""

WITH_STDIN = "PELLUCID_END_WITH_STDIN"
"""Set for a child that is to end when its standard input does."""

LOOK = 0.05
"""Seconds between two looks at the children."""


@dataclass(frozen=True)
class Combination:
    """One run of a sweep."""

    name: str  # of its folder
    setting: str  # the same for all repeats
    options: Mapping[str, Any]  # as it sets them


def sweep(
    recipe: str,
    data: str,
    folder: str | Path,
    grid: Mapping[str, Sequence[Any]],
    /,
    *,
    repeats: int = 1,
    jobs: int = 2,
    resume: bool = False,
    force: bool = False,
    **fixed: Any,
) -> Iterator["Told"]:
    """Train a recipe with every combination of some options.

    Args:
        recipe: its name, such as classify.
        data: what it learns from.
        folder: of the sweep, to be made; every run has a folder in it.
        grid: option -> its values, one at least.
        repeats: runs of each combination, each with a seed of its own: the recipe's, the next one, and so on.
        jobs: runs at a time, each in a process with its share of the processor's cores.
        resume: go on with the sweep in folder, if there is one.
        force: replace a sweep that stands there.
        fixed: options of the recipe and the engine that all runs share.

    Yields:
        Told, when a run has ended; the last one says what came out.

    Raises:
        ValueError: an unknown option, an empty grid, or a folder that must not be replaced; nothing was run then.
    """
    check_count("repeats", repeats, 1)
    check_count("jobs", jobs, 1)
    usual = _defaults(recipe)
    for name in [*grid, *fixed]:
        if name not in usual:
            raise ValueError(f"{recipe} has no option {name!r}{near(name, usual)}")
    combined = combinations(grid, repeats=repeats, seed=int(fixed.get("seed", usual["seed"])))
    shared = {name: value for name, value in fixed.items() if value != usual[name] and name != "seed"}
    config = {"recipe": "sweep", "of": recipe, "data": data, "repeats": repeats}
    if not all(_is_finished(Path(folder) / one.name) for one in combined):
        _check_data(recipe, data, grid, fixed)
    config |= {"seed": fixed.get("seed", usual["seed"]), "grid": {name: list(values) for name, values in grid.items()}}
    run = _run(Path(folder), {**config, **({"shared": shared} if shared else {})}, resume=resume, force=force)
    try:
        with run.held():
            yield from _all(run, combined, shared, jobs)
    except BaseException as error:
        if not has_learned(run.folder) and give_back(run.folder):
            error.add_note(f"nothing was learned yet, so the sweep that was in {run.folder} before is back")
        raise


def combinations(grid: Mapping[str, Sequence[Any]], *, repeats: int = 1, seed: int = 0) -> list[Combination]:
    """Every combination of a grid, the last option changing first, and each as often as asked.

    Raises:
        ValueError: an option without a value, a value named twice, or a seed in the grid beside repeats.
    """
    if not grid:
        raise ValueError("grid must name an option with its values, such as lr=0.1,0.01")
    for name, values in grid.items():
        if not len(values) or len(set(map(repr, values))) < len(values):
            raise ValueError(f"grid must give {name} at least one value, each once, got {list(values)}")
    if "seed" in grid and repeats > 1:
        raise ValueError("repeats must be 1 where the grid gives seeds itself")
    found: list[Combination] = []
    for chosen in itertools.product(*grid.values()):
        own = dict(zip(grid, chosen, strict=True))
        setting = ", ".join(f"{name.replace('_', '-')} {_word(value)}" for name, value in own.items())
        stem = ",".join(f"{name}={_word(value)}" for name, value in own.items())
        for repeat in range(repeats):
            seeded = own if "seed" in own else {**own, "seed": seed + repeat}
            tail = f",seed={seed + repeat}" if repeats > 1 else ""
            found.append(Combination(_fresh(stem + tail, [one.name for one in found]), setting, seeded))
    return found


def _check_data(recipe: str, data: str, grid: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Open what all runs are to learn from, so that none is begun with what cannot be read."""
    if recipe != "tabular":
        frame_of(data)
        return
    from .recipes.tabular import open_table

    names = {"target", "ignore", "missing"}
    if not names & set(grid):  # else some may be able to read what others are not
        open_table(data, **{name: fixed[name] for name in names & set(fixed)})


def _all(run: Run, combined: Sequence[Combination], shared: Mapping[str, Any], jobs: int) -> Iterator["Told"]:
    """Run what has not finished yet; then the table and the page."""
    from .recipes import Told

    failed: dict[str, str] = {}
    left = [one for one in combined if not _is_finished(run.folder / one.name)]
    done = len(combined) - len(left)
    threads = max(1, (os.cpu_count() or 1) // min(jobs, max(1, len(left))))
    again = f", {done} of them finished before" if done else ""
    shares = f"; {min(jobs, len(left))} at a time, {threads} thread{'s' if threads > 1 else ''} each" if left else ""
    yield Told(f"{len(combined)} runs{again}{shares}", {})
    children = _Children(run, shared, threads)
    with progress("sweeping", len(combined)) as moved:
        moved(done)
        for number, (one, reason) in enumerate(children.ended(left, jobs), done + 1):
            moved(1)
            settle(run.folder)
            failed |= {one.name: reason} if reason else {}
            told = f"failed: {reason}" if reason else _last_line(_log(run.folder, one))
            yield Told(f"{number}/{len(combined)} {one.name}: {told}", {})
    if is_replacing(run.folder):
        raise ValueError(f"all runs failed, so the sweep that was there before is back: {next(iter(failed.values()))}")
    results = results_of(run.folder, combined, failed)
    write_results(run, results)
    if not failed:
        run.finish(results)
    yield Told(results["said"], {"failed": len(failed)})


class _Children:
    """Processes that train, some at a time; none is left behind."""

    def __init__(self, run: Run, shared: Mapping[str, Any], threads: int) -> None:
        self.run, self.shared = run, shared
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.environment[WITH_STDIN] = "1"
        self.running: dict[subprocess.Popen[bytes], Combination] = {}

    def ended(self, combined: Sequence[Combination], jobs: int) -> Iterator[tuple[Combination, str]]:
        """Each run as it ends, with the reason if it failed; all children are ended when the caller stops."""
        waiting = deque(combined)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < jobs:
                    one = waiting.popleft()
                    self.running[self._started(one)] = one
                over = [child for child in self.running if child.poll() is not None]
                for child in over:
                    one = self.running.pop(child)
                    _let_go(child)
                    yield one, "" if child.returncode == 0 else _reason(child.returncode, _log(self.run.folder, one))
                if not over:
                    time.sleep(LOOK)
        finally:
            self._stop()

    def _started(self, one: Combination) -> "subprocess.Popen[bytes]":
        config = self.run.config
        words = [sys.executable, "-m", "pellucid.cli", "train", config["of"].replace("_", "-"), config["data"]]
        words += ["-o", str(self.run.folder / one.name), "--resume"]
        chosen = {**self.shared, **one.options}
        words += [f"--{name.replace('_', '-')}={_word(value)}" for name, value in chosen.items()]
        log = _log(self.run.folder, one)
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as file:
            return _spawn(words, self.environment, file)

    def _stop(self) -> None:
        for child in self.running:
            child.terminate()
        until = time.monotonic() + PATIENCE
        for child in self.running:
            try:
                child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            _let_go(child)


def _let_go(child: "subprocess.Popen[bytes]") -> None:
    """Close our end of a child's input."""
    if child.stdin is not None:
        child.stdin.close()


def _spawn(words: list[str], environment: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A child of its own session: Ctrl-C reaches the sweep, which then ends its children.

    Its input is a pipe to which nothing is written: when the sweep is killed, the pipe ends, and with it the child.
    """
    return subprocess.Popen(
        words, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )


def _run(folder: Path, config: Mapping[str, Any], *, resume: bool, force: bool) -> Run:
    """The sweep's own folder; one that is gone on with must be the same sweep."""
    if not (resume and is_run(folder)):
        return Run.create(folder, config, seed=int(config["seed"]), force=force)
    run = Run(folder)
    for name in dict.fromkeys([*config, *run.config]):
        if run.config.get(name) != config.get(name):
            told = f"{folder} was begun with {name} {run.config.get(name)}, not {config.get(name)}"
            raise ValueError(f"{told}; use a new -o for another sweep")
    return run


def _defaults(recipe: str) -> dict[str, Any]:
    from . import recipes

    known = methods(recipes)
    if recipe not in known:
        raise ValueError(f"recipe must be one of {', '.join(known)}, got {recipe!r}{near(recipe, known)}")
    return {option.name: option.default for function in (known[recipe], engine) for option in options(function)}


def _word(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return "null" if value is None else str(value)


def _fresh(stem: str, taken: Sequence[str]) -> str:
    """A folder's name for a combination, numbered where another has it."""
    plain = re.sub(r"[^\w.,=+-]+", "-", stem)[:120]
    names = (f"{plain}-{number}" if number else plain for number in itertools.count())
    return next(name for name in names if name not in taken)


def _is_finished(folder: Path) -> bool:
    return is_run(folder) and Run(folder).is_finished


def _log(folder: Path, one: Combination) -> Path:
    """Where a child writes what it says."""
    return folder / "logs" / f"{one.name}.txt"


def _last_line(log: Path) -> str:
    """What a child said last; where its page stands is not told for each."""
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.strip() for line in said if line.strip() and not line.startswith("page: ")]
    last = lines[-1].removeprefix("pellucid: ") if lines else "it said nothing"
    return last.removeprefix(f"{log.parent.parent / log.stem}: ")


def _reason(code: int, log: Path) -> str:
    return f"ended by signal {-code}" if code < 0 else _last_line(log)
