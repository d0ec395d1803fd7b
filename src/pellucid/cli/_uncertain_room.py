"""The memory that one `pellucid uncertainty` needs, counted before anything large is read."""

import math
from dataclasses import dataclass

from pellucid.models import Model

from ._reading import Chosen

GIB = 2**30


@dataclass(frozen=True)
class Asking:
    """What is to be held at once."""

    model: Model
    known: Chosen
    learning: Chosen | None  # fitted on
    others: Chosen | None  # from elsewhere, read; made of the known ones where None
    is_ood: bool
    samples: tuple[int, int] | None = None  # (S, K), once they are known
    is_kept: bool = False  # all samples


def check_room(asking: Asking, memory: float) -> None:
    """Refuse more than so many GiB, with the option that makes it fit."""
    known, learned, others = (0 if some is None else len(some.images) for some in _sets(asking))
    image = math.prod((asking.model.geometry.channels, *asking.model.geometry.size))  # bytes; four times as a float
    count, classes = asking.samples or (0, len(asking.model.classes))
    others = known if asking.is_ood and asking.others is None else others
    floats = 4 if asking.is_ood else 0  # detectors are shown all of a set at once
    parts = {
        "limit": (1 + floats) * image * (known + others) + 16 * known * classes,
        "on-limit": (1 + floats) * image * learned,
        "samples": 8 * count * known + 4 * count * classes * (known if asking.is_kept else 1),
    }
    needed = sum(parts.values())
    if needed <= memory * GIB:
        return
    largest = max(parts, key=lambda name: parts[name])
    pictures, remedy = {
        "limit": (f"{known + others:,} pictures of {_size(asking)}", _fewer("limit", known, parts, memory)),
        "on-limit": (f"{learned:,} pictures to learn from", _fewer("on-limit", learned, parts, memory)),
        "samples": (
            f"{count} samples of {known if asking.is_kept else 1:,} x {classes:,} probabilities",
            ("leave out --keep-samples, or " if asking.is_kept else "") + _fewer("samples", count, parts, memory),
        ),
    }[largest]
    raise ValueError(f"{pictures} need {needed / GIB:.3g} GiB, memory is {memory:g} GiB: {remedy}, or raise --memory")


def _sets(asking: Asking) -> tuple[Chosen | None, ...]:
    return asking.known, asking.learning, asking.others


def _size(asking: Asking) -> str:
    return " x ".join(map(str, (*asking.model.geometry.size, asking.model.geometry.channels)))


def _fewer(option: str, count: int, parts: dict[str, int], memory: float) -> str:
    """The option and the largest value that fits, as its part grows with it."""
    left = memory * GIB - sum(parts.values()) + parts[option]
    fits = int(count * left / parts[option]) if parts[option] else 0
    return f"take fewer with --{option} {fits}" if fits > 0 else f"take fewer with --{option}"
