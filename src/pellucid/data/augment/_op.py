"""What an operation of a policy is: its parameters, what it draws for an image, what it does with a draw."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range

Drawn = Mapping[str, Tensor]
"""The parameters of one operation by name, (N,) each: a number for each image."""

Size = tuple[int, int]
"""(H, W), in pixels."""


def within(default: float, low: float, high: float | None = None) -> Any:
    """A number of an operation, refused outside [low, high]; a whole number when the default is one."""
    return field(default=default, metadata={"low": low, "high": high})


def chance(default: float) -> Any:
    """The probability of an operation whose own default is not 1."""
    return field(default=default, kw_only=True, metadata={"low": 0, "high": 1})


def one_of(default: str, *choices: str) -> Any:
    """A word of an operation."""
    return field(default=default, metadata={"choices": (default, *choices)})


@dataclass(frozen=True)
class Op:
    """One operation; `draw` decides, and what is decided can be told, repeated and done to masks and boxes."""

    probability: float = chance(1.0)

    told: ClassVar[str] = ""
    """How a draw is told, with the names of its parameters in braces; "" tells the name alone."""

    def __post_init__(self) -> None:
        for one in fields(self):
            name, value = f"{self.name()}.{one.name}", getattr(self, one.name)
            if "choices" in one.metadata:
                check_choice(name, value, one.metadata["choices"])
            elif isinstance(one.default, int):
                check_count(name, value, one.metadata["low"], one.metadata["high"])
            else:
                check_range(name, value, one.metadata["low"], one.metadata["high"])

    @classmethod
    def name(cls) -> str:
        """The word a user writes."""
        return "".join(f"_{letter}" if letter.isupper() else letter for letter in cls.__name__).lower().strip("_")

    def draw(self, key: Tensor, size: Size) -> dict[str, Tensor]:  # noqa: ARG002  many draw nothing
        """The parameters of each image from its key (N,)."""
        return {}

    def size(self, size: Size) -> Size:
        """(H, W) of what comes out."""
        return size


@dataclass(frozen=True)
class Move(Op, ABC):
    """Pixels change places, none changes its value: bytes stay bytes, a mask is moved as the image is."""

    @abstractmethod
    def move(self, images: Tensor, drawn: Drawn) -> Tensor:
        """Images (N, C, H, W) of any dtype, moved."""

    @abstractmethod
    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """(N, 3, 3), float64: from a place in what comes out to where it was; pixel i covers [i, i + 1)."""


@dataclass(frozen=True)
class Warp(Op, ABC):
    """Pixels are looked up between pixels; neighbouring warps of a policy are done as one."""

    @abstractmethod
    def matrix(self, drawn: Drawn, size: Size) -> Tensor:
        """(N, 3, 3), float64: from a place in what comes out to where it was; pixel i covers [i, i + 1)."""


@dataclass(frozen=True)
class Paint(Op, ABC):
    """Values change, places do not: masks and boxes are left alone."""

    keeps_bytes: ClassVar[bool] = False
    """Whether it also works on uint8."""

    @abstractmethod
    def paint(self, images: Tensor, drawn: Drawn) -> Tensor:
        """Images (N, C, H, W) in [0, 1], painted, in [0, 1]."""
