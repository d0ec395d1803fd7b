"""Build a network of the zoo by name."""

import inspect
from typing import Any

from torch import nn

from pellucid.checks import check_choice, check_range, near


def names() -> list[str]:
    """Every architecture of the zoo."""
    from pellucid.models import zoo

    return sorted(name for name in zoo.__all__ if name != "build")


def build(name: str, /, *, classes: int, channels: int = 3, **arguments: Any) -> nn.Module:
    """A freshly initialised network of the zoo.

    Args:
        name: one of the zoo's architectures.
        classes: number of outputs, 1 to 1,000,000.
        channels: of its images, 1 to 1024.
        arguments: further arguments of the architecture, such as width.

    Raises:
        ValueError: unknown architecture or argument, or a value of another kind or out of range.
    """
    from pellucid.models import zoo

    check_choice("architecture", name, names())
    architecture = getattr(zoo, name)
    accepted = inspect.signature(architecture).parameters
    given = {"classes": classes, "channels": channels, **arguments}
    unknown = sorted(set(given) - set(accepted))
    if unknown:
        choices = ", ".join(accepted)
        raise ValueError(f"{name} has no argument {unknown[0]!r}; it takes {choices}{near(unknown[0], accepted)}")
    for key, value in given.items():
        _check_number(key, value, whole=accepted[key].annotation is int)
    check_range("classes", classes, 1, 1_000_000)
    check_range("channels", channels, 1, 1024)
    network: nn.Module = architecture(**given)
    return network


def _check_number(name: str, value: Any, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"{name} must be a {'whole ' if whole else ''}number, got {value!r}")
