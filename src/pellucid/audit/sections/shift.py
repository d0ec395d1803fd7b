"""Worse pictures: accuracy and stated confidence under noise, blur, low contrast and JPEG, and what these look like."""

from typing import Any

import torch
from markupsafe import Markup

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.shifted import Shifted
from pellucid.audit.words import counted, ends, percent, shifted_by, spanned, within
from pellucid.data import SEVERITIES
from pellucid.metrics import Interval
from pellucid.report import Fact, Section

NAMES = {"gaussian_noise": "noise", "defocus_blur": "blur", "contrast": "low contrast", "jpeg": "JPEG"}

TOLD = 3
"""Severity that the sentence tells."""

EVERY = range(SEVERITIES + 1)


def sections(found: Findings) -> list[Section]:
    """Curves, a table, and one picture in all severities."""
    one = found.shifted
    if one is None:
        return []
    body = report.notice(_sentence(one))
    for note in one.notes:
        body += report.notice(note)
    places = [float(severity) for severity in EVERY]
    both = {
        "right": (places, [one.mean_accuracy(severity) for severity in EVERY]),
        "stated confidence": (places, [one.mean_confidence(severity) for severity in EVERY]),
    }
    told = f"All kinds together, {counted(len(one.rows))} in each: what is right, and how sure the model says it is"
    kinds = {
        NAMES[kind]: (torch.tensor(places), 100 * one.correct[number].double().mean(dim=1))
        for number, kind in enumerate(one.kinds)
    }
    each = f"Each kind by itself: share of {counted(len(one.rows))} that is right (intervals below)"
    x = "severity (0: as they are)"
    body += report.drawings(
        [
            (report.bands(both, told, x=x, y="share", width=4.9), told + "."),
            (report.lines(kinds, each, x=x, y="share (%)", is_from_zero=True, width=4.9, height=3.2), each + "."),
        ]
    )
    body += report.table(
        ("severity", "right", "stated confidence", "overstated by, points"),
        [_row(one, severity) for severity in EVERY],
        f"All kinds together, with 95 % intervals over {counted(len(one.rows))}",
        numbers=(1, 2, 3),
        whole=(0,),
    )
    by_kind = report.table(
        ("severity", *(NAMES[kind] for kind in one.kinds)),
        [(_level(s), *(spanned(one.accuracy(n, s)) for n in range(len(one.kinds)))) for s in EVERY],
        f"Share of {counted(len(one.rows))} that is right, with its 95 % interval (Wilson)",
        numbers=range(1, len(one.kinds) + 1),
        whole=(0,),
    )
    body += report.details("Each kind, with intervals", by_kind)
    body += report.details("What the severities look like", _sheet(found, one))
    lead = (
        "Cameras, light and files differ from those a model learned from. Where confidence falls with accuracy the "
        "model notices; where it does not, a threshold found on good pictures no longer holds."
    )
    return [Section("shift", "When pictures get worse", lead, body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """What worse pictures cost."""
    one = found.shifted
    if one is None:
        return ()
    return (Fact("Worse pictures", f"{percent(one.mean_accuracy(TOLD).value)} right", _sentence(one)),)


def numbers(found: Findings) -> dict[str, Any]:
    """Accuracy by kind and severity, and accuracy and confidence over all."""
    one = found.shifted
    if one is None:
        return {"corruptions": None}
    kinds = {
        kind: [{"severity": s, "accuracy": ends(one.accuracy(number, s))} for s in EVERY]
        for number, kind in enumerate(one.kinds)
    }
    together = [
        {
            "severity": severity,
            "accuracy": ends(one.mean_accuracy(severity)),
            "confidence": ends(one.mean_confidence(severity)),
            "overstated": ends(one.overstated(severity)),
        }
        for severity in EVERY
    ]
    return {"corruptions": {"images": len(one.rows), "together": together, "kinds": kinds}}


def _sentence(one: Shifted) -> str:
    clean, worse, worst = one.accuracy(0, 0), one.mean_accuracy(TOLD), one.worst(TOLD)
    names = [NAMES[kind] for kind in one.kinds]
    start = (
        f"At severity {TOLD} of {', '.join(names[:-1])} and {names[-1]} it is right in {percent(worse.value)} "
        f"({within(worse)}) of {counted(len(one.rows))}, as they are in {percent(clean.value)}"
    )
    lost = f"{names[worst]} costs most ({percent(one.accuracy(worst, TOLD).value)} right)"
    if one.lost(TOLD).low <= 0:
        lost = "so few show no clear loss"
    return f"{start}; {lost}. {_stated(one)}"


def _stated(one: Shifted) -> str:
    """How stated confidence follows."""
    gap = one.overstated(TOLD)
    if gap.low > 0:
        return f"It is then {100 * gap.value:.0f} points surer than right."
    if gap.high < 0:
        return f"It is then {-100 * gap.value:.0f} points less sure than right."
    return "It is then about as sure as right."


def _row(one: Shifted, severity: int) -> tuple[str, str, str, str]:
    gap = one.overstated(severity)
    return (
        _level(severity),
        spanned(one.mean_accuracy(severity)),
        spanned(one.mean_confidence(severity)),
        shifted_by(Interval(*(100 * part for part in (gap.value, gap.low, gap.high))), 1),
    )


def _level(severity: int) -> str:
    return "0, as they are" if severity == 0 else str(severity)


def _sheet(found: Findings, one: Shifted) -> Markup:
    file = found.predictions.files[one.example]
    entries = []
    for number, kind in enumerate(one.kinds):
        captions = ["as it is", *(f"severity {severity}" for severity in EVERY[1:])]
        pictures = [(report.thumbnail(image), told) for image, told in zip(one.sheet[number], captions, strict=True)]
        entries.append((NAMES[kind], file, [pictures]))
    return report.gallery(entries)
