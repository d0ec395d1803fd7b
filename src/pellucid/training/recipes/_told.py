"""What a recipe tells while it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """One epoch of a run, or what came out of it."""

    text: str  # one line, for people
    values: dict[str, float]  # the same, for programs
