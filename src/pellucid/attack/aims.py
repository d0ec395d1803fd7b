"""Which attack a name means, and whether it makes images leave a class or reach one."""

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
    attack = attack_of(method)
    if "targeted" in inspect.signature(attack).parameters:
        return "both"
    told = attack.func.__doc__ if isinstance(attack, partial) else attack.__doc__
    line = re.search(r"^ {8}targets: (.+)$", told or "", re.MULTILINE)
    return "reach" if line is not None and "to reach" in line[1] else "leave"


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
