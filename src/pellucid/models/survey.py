"""What the zoo's networks cost side by side: weights, multiply-adds, time; and the accuracy where we measured it."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import nn

from pellucid.checks import check_range, near
from pellucid.progress import steps

from ._meter import Meter
from .describe import Description, describe
from .layers import asked_with
from .zoo._build import construct, default, module_of, names
from .zoo._layout import LARGEST_SMALL


@dataclass(frozen=True)
class Measured:
    """One training run, on data that was not trained on."""

    name: str  # of the network
    size: int  # side of its images
    data: str  # data set, such as cifar10
    accuracy: float  # share of its test images that are right, in [0, 1]
    recipe: str
    epochs: int
    seed: int


@dataclass(frozen=True)
class Surveyed:
    """One network of the zoo, as it was asked for."""

    name: str
    family: str  # as people write it
    series: str  # the same for those of a family that differ in depth and width only
    size: int  # side of its images
    channels: int
    classes: int
    weights: int  # parameters
    macs: int  # multiply-adds for one image
    milliseconds: float | None  # median time of a forward pass of one image; None: not measured
    measured: tuple[Measured, ...]  # runs at this size; none where we did not train it

    def json(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Survey:
    """Several networks."""

    rows: tuple[Surveyed, ...]  # by family, then by weights
    left_out: tuple[tuple[str, str], ...]  # (name, reason) of those that do not take the size or another wish


@dataclass(frozen=True)
class Accuracy:
    """What one recipe gave on one data set, over its seeds."""

    data: str
    mean: float  # share right, in [0, 1]
    runs: int  # seeds
    told: str  # data, recipe, epochs and seeds, for a reader


def survey(
    *,
    contains: str = "",
    size: int | None = None,
    classes: int | None = None,
    channels: int | None = None,
    is_timed: bool = False,
    repeats: int = 5,
) -> Survey:
    """Count, and on request time, every network of the zoo; nothing is trained or loaded.

    Args:
        contains: a network, or what the names of those to look at have in them.
        size: side of the images; None takes each network's own.
        classes: number of outputs; None: 1000, or 10 for images of up to 64 x 64.
        channels: of the images; None takes each network's own.
        is_timed: whether forward passes are timed here, on the CPU, with as many threads as torch is set to.
        repeats: timed passes of one image after one that is not, at least 1; their median is told.

    Raises:
        ValueError: no network has such a name, or none takes the size.
    """
    check_range("repeats", repeats, 1)
    chosen = [contains] if contains in names() else [name for name in names() if contains.lower() in name]
    if not chosen:
        raise ValueError(
            f"no network of the zoo has {contains!r} in its name; pellucid zoo lists all{near(contains, names())}"
        )
    rows, left_out = [], []
    runs = read_measured()
    with steps("looking at the zoo", len(chosen)) as done:
        for name in chosen:
            wished = _wished(name, size, classes, channels)
            try:
                with torch.device("meta"):
                    network = construct(name, wished)
                shape = (wished["channels"], wished["size"], wished["size"])
                weights, macs = sum(p.numel() for p in network.parameters()), _multiply_adds(network, shape)
            except ValueError as error:  # told in the result
                left_out.append((name, str(error)))
            else:
                milliseconds = _milliseconds(name, wished, repeats) if is_timed else None
                own = tuple(run for run in runs if (run.name, run.size) == (name, wished["size"]))
                rows.append(
                    Surveyed(
                        name,
                        family_of(name),
                        _series_of(name),
                        **wished,
                        weights=weights,
                        macs=macs,
                        milliseconds=milliseconds,
                        measured=own,
                    )
                )
            done(1)
    if not rows:
        raise ValueError(f"no network suits: {'; '.join(reason for _, reason in left_out[:3])}")
    return Survey(tuple(sorted(rows, key=lambda row: (row.family, row.weights, row.name))), tuple(left_out))


def networks() -> list[str]:
    """The name of every network of the zoo."""
    return names()


def survey_one(
    name: str, *, size: int | None = None, classes: int | None = None, channels: int | None = None
) -> Description:
    """One network layer by layer, without memory for its weights.

    Args:
        name: of the network.
        size: side of the images; None takes the network's own.
        classes: number of outputs; None: 1000, or 10 for images of up to 64 x 64.
        channels: of the images; None takes the network's own.

    Raises:
        ValueError: there is none of that name, or it does not take the size.
    """
    wished = _wished(name, size, classes, channels)
    with torch.device("meta"):
        network = construct(name, wished)
    return describe(network, (wished["channels"], wished["size"], wished["size"]))


def accuracies(row: Surveyed) -> tuple[Accuracy, ...]:
    """A network's accuracies, one a data set, recipe and number of epochs; the best first."""
    grouped: dict[tuple[str, str, int], list[float]] = {}
    for run in row.measured:
        grouped.setdefault((run.data, run.recipe, run.epochs), []).append(run.accuracy)
    found = [
        Accuracy(
            data,
            sum(own) / len(own),
            len(own),
            f"{data} ({recipe}, {epochs} epochs" + (f", mean of {len(own)} seeds)" if len(own) > 1 else ", one seed)"),
        )
        for (data, recipe, epochs), own in grouped.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.mean))


def read_measured() -> tuple[Measured, ...]:
    """The training runs whose accuracy ships with the package.

    Raises:
        ValueError: the file that lists them is broken.
    """
    file = resources.files("pellucid.models.zoo").joinpath("measured.json")
    try:
        return tuple(Measured(**run) for run in json.loads(file.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: must be a list of training runs ({error})") from error


def family_of(name: str) -> str:
    """A network's family as people write it: what its file's first line says before the colon, else its name."""
    first = (module_of(name).__doc__ or "").partition("\n")[0]
    return first.partition(":")[0] if ":" in first else name


def _series_of(name: str) -> str:
    """A name without its numbers, and the layout it was made for."""
    layout = "small" if default(name, "size") <= LARGEST_SMALL else "large"
    return f"{re.sub('[0-9]+', '', name)} {layout}"


def _wished(name: str, size: int | None, classes: int | None, channels: int | None) -> dict[str, int]:
    size = default(name, "size") if size is None else size
    usual = 10 if size <= LARGEST_SMALL else 1000
    return {
        "size": size,
        "classes": usual if classes is None else classes,
        "channels": default(name, "channels") if channels is None else channels,
    }


def _multiply_adds(network: nn.Module, shape: Sequence[int]) -> int:
    """Of a forward pass of one image."""
    with asked_with(network, tuple(shape)) as images, Meter(images) as meter:
        network(images)
    return int(meter.total_macs)


def _milliseconds(name: str, wished: dict[str, int], repeats: int) -> float:
    """Median time of a forward pass of one image."""
    with torch.random.fork_rng(devices=[]):
        network = construct(name, wished).eval().to(memory_format=torch.channels_last)
        images = torch.rand(1, wished["channels"], wished["size"], wished["size"])
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            start = perf_counter()
            network(images)
            times.append(perf_counter() - start)
    return 1000 * median(times[1:])
