"""A family's methods, read off its face, and a method's options, read off its signature and docstring."""

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, TypeAlias, get_origin

Method: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a method."""

    name: str
    annotation: Any
    default: Any  # inspect.Parameter.empty when the option is required
    told: str  # the docstring's line about it


def methods(family: ModuleType, *, taking: str | None = None) -> dict[str, Method]:
    """The functions a family's face lists, by name; of a face that lists others too, those that take a parameter."""
    found = {name: getattr(family, name) for name in family.__all__ if inspect.isfunction(getattr(family, name))}
    return {name: f for name, f in found.items() if taking is None or taking in inspect.signature(f).parameters}


def options(method: Method) -> list[Option]:
    """The keyword-only parameters of a method, each with the line its docstring gives it.

    The generator and the trace, which are no numbers or words, are none.
    """
    told = dict(re.findall(r"^ {8}(\w+): (.+)$", method.__doc__ or "", re.MULTILINE))
    keywords = [p for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return [
        Option(p.name, p.annotation, p.default, told[p.name]) for p in keywords if p.name not in {"generator", "trace"}
    ]


def taken(method: Method, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Of the keywords on offer, those a method takes and that are given: a face offers all, knowing no method."""
    accepted = inspect.signature(method).parameters
    return {name: value for name, value in offered.items() if name in accepted and value is not None}


def takes_many(method: Method) -> bool:
    """Whether a method explains several targets of an image, (N, T), at the cost of one."""
    return get_origin(inspect.signature(method).parameters["targets"].annotation) is Annotated  # checks.ManyTargets


def title(method: Method) -> str:
    """A method's name as people write it: what its file's first line says before the colon."""
    told = sys.modules[method.__module__].__doc__ or ""
    return told.partition(":")[0].strip() or method.__name__


def summary(method: Method) -> str:
    """The first line of a method's docstring."""
    return (inspect.getdoc(method) or "").partition("\n")[0]
