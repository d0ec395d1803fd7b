"""The images worth looking at, each with its heat maps: confident mistakes, unsure hits, a random sample."""

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from pellucid import explain, report
from pellucid.attack import shown_epsilon
from pellucid.audit.explained import Explained
from pellucid.audit.findings import Findings
from pellucid.audit.words import percent
from pellucid.methods import methods, title
from pellucid.report import Fact, Map, Section


def sections(found: Findings) -> list[Section]:
    """Three galleries."""
    return [_mistakes(found), _unsure(found), _sample(found)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """What to look at first."""
    return (_first(found),)


def numbers(_found: Findings) -> dict[str, Any]:
    """Nothing that the table of predictions does not hold."""
    return {}


def _mistakes(found: Findings) -> Section:
    body = _gallery(found, found.shown.mistakes) if found.shown.mistakes else report.notice("Nothing to show.")
    for note in found.shown.notes:
        body += report.notice(note)
    return Section(
        "mistakes",
        "Most confident mistakes",
        "Wrong, and sure of it: look here first for wrong labels, ambiguous pictures and shortcuts. Warm colours mark "
        "evidence for the class named below a map.",
        body,
    )


def _unsure(found: Findings) -> Section:
    body = _gallery(found, found.shown.unsure) if found.shown.unsure else report.notice("Nothing to show.")
    return Section("unsure", "Least confident hits", "Right, but only just.", body)


def _sample(found: Findings) -> Section:
    body = _gallery(found, found.shown.sample) if found.shown.sample else report.notice("Nothing to show.")
    return Section(
        "sample", "A random sample", f"Drawn with seed {found.record.seed}, so that nothing is picked.", body
    )


def _gallery(found: Findings, shown: Sequence[Explained]) -> Markup:
    return report.gallery([_entry(found, one) for one in shown])


def _entry(found: Findings, one: Explained) -> tuple[str, str, list[list[tuple[str, str]]]]:
    rows = found.predictions
    predicted, target = int(rows.predicted[one.row]), int(rows.targets[one.row])
    says = f"says “{found.classes[predicted]}”, {percent(float(rows.confidence[one.row]))} sure"
    truth = "" if predicted == target else f"; labelled “{found.classes[target]}”"
    maps = [
        Map(method, title(methods(explain)[method]), index, found.classes[index], heat)
        for method, index, heat in one.heats
    ]
    by_class = [heat for heat in maps if heat.target == predicted] + [heat for heat in maps if heat.target != predicted]
    return says + truth + _broken_by(found, one.row), rows.files[one.row], report.map_rows(one.image, by_class)


def _broken_by(found: Findings, row: int) -> str:
    """How small a change was found that breaks it, where that was tried of an image that was right."""
    least = found.attacked.shown.get(row) if found.attacked is not None else None
    if not least or found.attacked is None:
        return ""
    if least == math.inf:
        return f"; stands {shown_epsilon(found.attacked.epsilons[-1])}"
    return f"; broken by {shown_epsilon(least)}"


def _first(found: Findings) -> Fact:
    rows = found.predictions
    wrong = (~rows.correct).nonzero()[:, 0]
    if not len(wrong):
        return Fact("Look first at", "no mistakes", "The model makes no mistake on these images.")
    row = int(wrong[rows.confidence[wrong].argmax()])
    file = rows.files[row]
    return Fact(
        "Look first at",
        file.rsplit("/", 1)[-1],
        f"The most confident mistake is {file}: {percent(float(rows.confidence[row]))} sure of "
        f"“{found.classes[int(rows.predicted[row])]}”, labelled “{found.classes[int(rows.targets[row])]}”.",
    )
