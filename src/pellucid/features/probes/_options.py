"""A probe's options: what its constructor takes, as they stand."""

import inspect
from typing import TypeVar

Option = int | float | bool | str
Probe = TypeVar("Probe")


def options_of(probe: object) -> dict[str, Option]:
    """Each option with its value."""
    return {name: getattr(probe, name) for name in inspect.signature(type(probe)).parameters}


def with_options(probe: Probe, **changed: Option) -> Probe:
    """An unfitted probe of the same kind, with some options changed."""
    return type(probe)(**{**options_of(probe), **changed})
