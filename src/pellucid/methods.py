"""A family's methods, read off its face, and a method's options, read off its signature and docstring."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

Method: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a method."""

    name: str
    annotation: Any
    default: Any  # inspect.Parameter.empty when the option is required
    told: str  # the docstring's line about it


def methods(family: ModuleType) -> dict[str, Method]:
    """The functions a family's face lists, by name."""
    return {name: getattr(family, name) for name in family.__all__ if inspect.isfunction(getattr(family, name))}


def options(method: Method) -> list[Option]:
    """The keyword-only parameters of a method, each with the line its docstring gives it; the generator is none."""
    told = dict(re.findall(r"^ {8}(\w+): (.+)$", method.__doc__ or "", re.MULTILINE))
    keywords = [p for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return [Option(p.name, p.annotation, p.default, told[p.name]) for p in keywords if p.name != "generator"]


def summary(method: Method) -> str:
    """The first line of a method's docstring."""
    return (inspect.getdoc(method) or "").partition("\n")[0]
