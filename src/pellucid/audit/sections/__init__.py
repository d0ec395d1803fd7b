"""The parts of an audit, in the order of its page; each file draws its sections, and tells its facts and numbers."""

from collections.abc import Sequence
from typing import Any, Protocol

from pellucid.audit.findings import Findings
from pellucid.report import Fact, Section

from . import (
    accuracy,
    ambiguous,
    answers,
    calibration,
    classes,
    confusions,
    elsewhere,
    explanations,
    learned,
    left_out,
    pictures,
    robustness,
    shift,
)


class Part(Protocol):
    """What a file of this folder gives."""

    def sections(self, found: Findings) -> list[Section]:
        """What is drawn."""

    def facts(self, found: Findings) -> Sequence[Fact]:
        """What is told first, as sentences that stand alone."""

    def numbers(self, found: Findings) -> dict[str, Any]:
        """What `summary.json` holds, by keys of its own; shares in [0, 1]."""


PARTS: tuple[Part, ...] = (
    accuracy,
    classes,
    confusions,
    calibration,
    answers,
    ambiguous,
    robustness,
    shift,
    elsewhere,
    pictures,
    learned,
    explanations,
    left_out,
)
