"""Which attack a name means, whether it makes images leave a class or reach one, and what its epsilon measures."""

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from torch import Tensor

from pellucid.checks import check_choice
from pellucid.methods import methods

Attack: TypeAlias = Callable[..., Tensor]
"""(model, images, targets, *, epsilon, ...) -> images, or such a function with options bound by functools.partial."""


def attack_of(method: str | Attack) -> Attack:
    """An attack by name; what is one already is returned as it is.

    Raises:
        ValueError: no attack has that name.
    """
    from pellucid import attack  # the face lists the attacks, and this file among them

    if not isinstance(method, str):
        return method
    known = methods(attack, taking="trace")
    check_choice("method", method, known)
    return known[method]


def aims(method: str | Attack) -> str:
    """What an attack makes of the targets: "leave" these classes, "reach" them, or "both", with its option `targeted`.

    One without that option reaches them if its docstring calls the targets the classes to reach.
    """
    if "targeted" in inspect.signature(attack_of(method)).parameters:
        return "both"
    return "reach" if "to reach" in _told(method, "targets") else "leave"


def norm_of(method: str | Attack, norm: str = "") -> str:
    """The norm that an attack's epsilon is measured in: the one asked for where it has several, or its default of them.

    One without the option `norm` is l2 if its docstring says so of epsilon, else linf.
    """
    option = inspect.signature(attack_of(method)).parameters.get("norm")
    if option is not None:
        return norm or str(option.default)
    return "l2" if "l2" in _told(method, "epsilon") else "linf"


def _told(method: str | Attack, name: str) -> str:
    """What an attack's docstring says of an argument."""
    attack = attack_of(method)
    told = attack.func.__doc__ if isinstance(attack, partial) else attack.__doc__
    line = re.search(rf"^ {{8}}{name}: (.+)$", told or "", re.MULTILINE)
    return line[1] if line is not None else ""


def check_aim(method: str | Attack, *, targeted: bool) -> None:
    """Refuse to reach classes with an attack that only leaves them, and the other way round.

    Raises:
        ValueError: the attack cannot do what is asked.
    """
    aim = aims(method)
    name = method if isinstance(method, str) else "the attack"
    if targeted and aim == "leave":
        raise ValueError(f"{name} cannot be targeted: it makes images leave their class, whatever they become")
    if not targeted and aim == "reach":
        raise ValueError(f"{name} must be targeted: it makes images reach a class, so name the classes to reach")
