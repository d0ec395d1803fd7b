"""Numbers of several seeds: means and differences with Student's intervals, and one JSON file for all of it."""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pellucid.files import write_json
from pellucid.metrics import student
from pellucid.metrics.classification import Interval
from pellucid.records import record

Found = Mapping[str, Mapping[str, float]]
"""Score -> measure -> its number, of one seed."""

BASELINE = "max_probability"


def print_means(found: Sequence[Found], columns: Sequence[str], *, compared: str, oracles: Sequence[str] = ()) -> None:
    """Each score's means over the seeds, in %, and its difference to the baseline, seed by seed, in one measure."""
    print(f"\nmeans over {len(found)} seeds, in %, with Student's 95 % intervals; last, {compared} less {BASELINE}'s")
    print(" " * 31 + "".join(f"{column:>19}" for column in columns))
    better = []
    for name in found[0]:
        means = [_over(found, name, column) for column in columns]
        gain = _over(found, name, compared, less=BASELINE)
        print(f"{name:31}" + "".join(f"{_around(mean):>19}" for mean in means) + f"{_around(gain, sign='+'):>18}")
        if name not in {*oracles, BASELINE} and gain.low > 0:
            better.append(name)
    print(f"shown to be better than {BASELINE} by {compared}: {', '.join(better) or 'none'}", flush=True)


def told(number: Interval, *, sign: str = "") -> str:
    """A number with its interval, in %."""
    return f"{100 * number.value:{sign}.2f} ({100 * number.low:{sign}.1f} to {100 * number.high:{sign}.1f})"


def write(path: Path | None, what: str, args: argparse.Namespace, found: Sequence[object]) -> None:
    """All numbers, where a path is given, with the options and versions they came by."""
    if path is not None:
        options = {name: value for name, value in vars(args).items() if not isinstance(value, Path)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"seeds": found, "record": record(what, options=options, model={}).json()})


def _over(found: Sequence[Found], name: str, column: str, *, less: str = "") -> Interval:
    """Mean over the seeds, in %; NaN where a seed has none."""
    values = [100 * (seed[name][column] - (seed[less][column] if less else 0)) for seed in found]
    return Interval(math.nan, math.nan, math.nan) if any(map(math.isnan, values)) else student(values)


def _around(mean: Interval, *, sign: str = "") -> str:
    return f"{mean.value:{sign}.2f} ± {mean.high - mean.value:.2f}"
