"""Class by class: precision, recall, F1, and which class of the set is which of the model."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.words import FULL_MATRIX, counted
from pellucid.report import Fact, Section

WEAKEST = 10


def sections(found: Findings) -> list[Section]:
    """The weakest first."""
    score = found.per_class
    present = score.support.nonzero()[:, 0].tolist()
    order = sorted(present, key=lambda index: (float(score.f1[index]), -int(score.support[index])))
    head = ("class", "F1", "precision", "recall", "images", "predicted")

    def rows(indices: Sequence[int]) -> list[tuple[object, ...]]:
        return [
            (
                found.classes[i],
                f"{float(score.f1[i]):.3f}",
                f"{float(score.precision[i]):.3f}",
                f"{float(score.recall[i]):.3f}",
                int(score.support[i]),
                int(score.predicted[i]),
            )
            for i in indices
        ]

    numbers = range(1, 6)
    if len(present) <= FULL_MATRIX:
        body = report.table(head, rows(order), "Every class, weakest first", numbers=numbers)
    else:
        body = report.table(head, rows(order[:WEAKEST]), f"The {WEAKEST} weakest classes", numbers=numbers)
        whole = report.table(head, rows(order), "Every class, weakest first", numbers=numbers)
        body += report.details(f"All {len(present)} classes", whole)
    matched = [(match.label, found.classes[match.index], match.index, match.by) for match in found.matches]
    sides = ("class of the pictures", "class of the model", "number", "matched by")
    body += report.details(
        "Which class of the model each class of the pictures is taken to be",
        report.table(sides, matched, "Matched by key (wnid), name, number, or your own map", numbers=(2,)),
    )
    one = Section(
        "classes",
        "Class by class",
        "Precision: of the images taken for the class, the share that are. Recall: of the class's images, the share "
        "that are found. F1: their harmonic mean.",
        body,
    )
    return [one]


def facts(found: Findings) -> tuple[Fact, ...]:
    """The weakest class, or that several are never found."""
    return (_weakest(found),)


def numbers(found: Findings) -> dict[str, Any]:
    """How the classes were matched."""
    return {"classes_matched_by": dict(Counter(match.by for match in found.matches))}


def _weakest(found: Findings) -> Fact:
    score = found.per_class
    present = score.support.nonzero()[:, 0].tolist()
    worst = min(present, key=lambda index: (float(score.f1[index]), -int(score.support[index])))
    name, support = found.classes[worst], int(score.support[worst])
    precision, recall = float(score.precision[worst]), float(score.recall[worst])
    lost = [index for index in present if float(score.f1[index]) == 0]
    if len(lost) > 1:
        return Fact(
            "Never found",
            f"{len(lost)} classes",
            f"{len(lost)} of {len(present)} classes are never found, “{name}” ({counted(support)}) among them.",
        )
    return Fact(
        "Weakest class",
        name,
        f"The weakest class is “{name}”: F1 {float(score.f1[worst]):.2f} "
        f"(precision {precision:.2f}, recall {recall:.2f}, {counted(support)}).",
    )
