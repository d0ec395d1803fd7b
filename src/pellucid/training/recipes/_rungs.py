"""Which trainings a ladder of improvements is made of, and which two of them tell what each step is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pellucid.checks import check_choice

STEPS = ("base", "norm", "aug", "sched", "dropout", "bn")

MODES = ("cumulative", "only", "without")


@dataclass(frozen=True)
class Rung:
    """One training."""

    name: str  # of its row and of its folders
    steps: tuple[str, ...]  # what is on, in order


@dataclass(frozen=True)
class Gain:
    """What a step is worth: the accuracy of a rung that has it less that of one that has all but it."""

    step: str
    has: str  # names of rungs
    lacks: str


@dataclass(frozen=True)
class Plan:
    """What is trained, and what is compared."""

    rungs: tuple[Rung, ...]
    gains: tuple[Gain, ...]

    def gain(self, rung: Rung) -> Gain | None:
        """What the row of a rung tells: in `without` the step it lacks, else the one it adds."""
        return next((gain for gain in self.gains if rung.name == _row(gain)), None)


def planned(steps: str, *, step: str = "", mode: str = "cumulative") -> Plan:
    """The rungs of a ladder.

    Args:
        steps: names with commas between them, base first; each adds to those before.
        step: only this one's gain is wanted: its rung, and the one it is compared with.
        mode: cumulative; only (base, and base with one step); or without (all of them, and all but one).

    Raises:
        ValueError: an unknown step or mode, one named twice, or base not first.
    """
    check_choice("mode", mode, MODES)
    names = _names(steps)
    rungs, gains = {"cumulative": _cumulative, "only": _only, "without": _without}[mode](names)
    if step:
        check_choice("step", step, names)
        gains = [gain for gain in gains if gain.step == step]
        kept = {name for gain in gains for name in (gain.has, gain.lacks)} or {step}
        rungs = [rung for rung in rungs if rung.name in kept]
    return Plan(tuple(rungs), tuple(gains))


def _names(steps: str) -> list[str]:
    names = [name.strip() for name in steps.split(",")]
    for name in names:
        check_choice("steps", name, STEPS)
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ValueError(f"steps must name each once, got {twice[0]} twice")
    if names[0] != "base":
        raise ValueError(f"steps must begin with base, to which the others add, got {steps!r}")
    return names


def _cumulative(names: Sequence[str]) -> tuple[list[Rung], list[Gain]]:
    rungs = [Rung(name, tuple(names[: place + 1])) for place, name in enumerate(names)]
    return rungs, [Gain(name, name, before) for before, name in pairwise(names)]


def _only(names: Sequence[str]) -> tuple[list[Rung], list[Gain]]:
    rungs = [Rung("base", ("base",)), *(Rung(name, ("base", name)) for name in names[1:])]
    return rungs, [Gain(name, name, "base") for name in names[1:]]


def _without(names: Sequence[str]) -> tuple[list[Rung], list[Gain]]:
    rungs = [Rung("full", tuple(names))]
    rungs += [Rung(f"without-{out}", tuple(name for name in names if name != out)) for out in names[1:]]
    return rungs, [Gain(name, "full", f"without-{name}") for name in names[1:]]


def _row(gain: Gain) -> str:
    return gain.lacks if gain.lacks.startswith("without-") else gain.has
