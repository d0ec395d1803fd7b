"""Files and folders that were not counted."""

from typing import Any

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.report import Fact, Section


def sections(found: Findings) -> list[Section]:
    """Which, and why; nothing where all were counted."""
    lines = [f"{error.file}: {error.reason}" for error in found.errors]
    if not found.errors:
        return []
    one = Section(
        "left-out",
        "Left out",
        f"{len(found.errors):,} files or folders were not counted, for the reason given.",
        report.plain_list(lines),
    )
    return [one]


def facts(_found: Findings) -> tuple[Fact, ...]:
    """None."""
    return ()


def numbers(found: Findings) -> dict[str, Any]:
    """How many were counted, could not be read, and were left out for any reason."""
    return {
        "images": len(found.predictions),
        "unreadable": len(found.predictions.errors),
        "left_out": len(found.errors),
    }
