"""Progress of long work: a library function tells it, a face (command line, web) shows it.

Nothing is shown unless a face asks for it, so a library call stays silent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Display(Protocol):
    """Where progress is shown."""

    def start(self, label: str, total: int) -> int:
        """Begin a row of total steps; its key."""

    def advance(self, key: int, steps: int) -> None:
        """Move a row on."""

    def finish(self, key: int) -> None:
        """End a row."""


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Show the progress of everything called inside the block."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


@contextmanager
def steps(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to be called with the number of steps done since the last call."""
    display = _display.get()
    if display is None:
        yield lambda _count: None
        return
    key = display.start(label, total)
    try:
        yield lambda count: display.advance(key, count)
    finally:
        display.finish(key)
