"""How small a change breaks the model: accuracy under attack, and the pictures that took least."""

import math
from typing import Any

from pellucid import report
from pellucid.attack import shown_epsilon
from pellucid.audit.attacked import STEPS, Attacked, Broken
from pellucid.audit.findings import Findings
from pellucid.audit.words import counted, percent
from pellucid.report import Fact, Range, Section

WEAKEST = 5
"""Classes named that fall first."""


def sections(found: Findings) -> list[Section]:
    """The accuracy at each size of change, the classes that fall first, and pictures."""
    if found.attacked is None:
        return [_unattacked(found)] if found.unattacked else []
    one = found.attacked
    rows = [
        Range(shown_epsilon(epsilon), 100 * share.value, 100 * share.low, 100 * share.high)
        for epsilon, share in zip(one.epsilons, one.accuracy, strict=True)
    ]
    told = f"Share of {counted(len(one.rows))} still right under changes of at most so many 255ths of a pixel's range"
    body = report.drawings([(report.ranges(rows, told, x="right after the attack, %"), told)])
    body += report.notice(_sentence(one))
    if one.vanished:
        body += report.notice(
            f"The gradient of {counted(one.vanished)} was zero everywhere, so that this attack could not begin: what "
            "stands here is too good. Ask `pellucid attack --method square`, which needs no gradient."
        )
    if one.transfer is not None:
        body += report.notice(_crossed(one))
    falls = _falls(found, one)
    if falls:
        head = ("class", "images", "right at first", "broken by (median)")
        body += report.table(head, falls, "The classes that fall first", numbers=(1, 2, 3))
    body += report.gallery([_entry(found, broken) for broken in one.broken])
    lead = (
        f"PGD of {STEPS} steps on the difference of logits, which sees the network's gradient, changes every value of "
        "a picture by at most epsilon to have it called something else. A stronger attack can only find more: read the "
        "shares as upper bounds."
    )
    return [Section("robustness", "How small a change breaks it", lead, body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """The change that half of the images do not survive."""
    if found.attacked is None:
        return ()
    half = found.attacked.half
    value = shown_epsilon(half) if half < math.inf else f"over {shown_epsilon(found.attacked.epsilons[-1])}"
    return (Fact("Broken by", value, _sentence(found.attacked)),)


def numbers(found: Findings) -> dict[str, Any]:
    """The curve, and what each class took."""
    one = found.attacked
    if one is None:
        return {"robustness": None}
    curve = [
        {"epsilon": epsilon, "accuracy": share.value, "low": share.low, "high": share.high}
        for epsilon, share in zip(one.epsilons, one.accuracy, strict=True)
    ]
    told: dict[str, Any] = {
        "method": "pgd",
        "loss": "margin",
        "steps": STEPS,
        "norm": "linf",
        "images": len(one.rows),
        "curve": curve,
    }
    told["gradient_vanished"] = one.vanished
    told["smallest"] = {
        found.predictions.files[row]: None if least == math.inf else least for row, least in one.shown.items()
    }
    if one.transfer is not None and one.transfer.images:
        rate = one.transfer.rate
        told["transfer"] = {
            "model": one.transfer.name,
            "epsilon": one.transfer.epsilon,
            "images": one.transfer.images,
            "rate": {"value": rate.value, "low": rate.low, "high": rate.high},
        }
    return {"robustness": told}


def _unattacked(found: Findings) -> Section:
    body = report.notice(f"This model was not attacked: {found.unattacked}")
    return Section("robustness", "How small a change breaks it", "", body)


def _sentence(one: Attacked) -> str:
    size = one.half if one.half < math.inf else one.epsilons[-1]
    left = one.accuracy[one.epsilons.index(size)]
    return (
        f"{percent(one.accuracy[0].value)} of {counted(len(one.rows))} are right, and after PGD has changed each value "
        f"by at most {shown_epsilon(size)}, {percent(left.value)} still are (95 % interval {percent(left.low)} to "
        f"{percent(left.high)})."
    )


def _crossed(one: Attacked) -> str:
    crossed = one.transfer
    if crossed is None or not crossed.images:
        return "No image of the sample is called right by both models, so that nothing can be said of the second one."
    return (
        f"Pictures changed by at most {shown_epsilon(crossed.epsilon)} to break this model (momentum FGSM) also break "
        f"{crossed.name} in {percent(crossed.rate.value)} of {counted(crossed.images)} that both call right (95 % "
        f"interval {percent(crossed.rate.low)} to {percent(crossed.rate.high)})."
    )


def _falls(found: Findings, one: Attacked) -> list[tuple[object, ...]]:
    """Classes with at least two images in the sample, those that fall to the least change first."""
    classes: dict[int, list[float]] = {}
    for row, least in zip(one.rows, one.smallest.tolist(), strict=True):
        classes.setdefault(int(found.predictions.targets[row]), []).append(least)
    told = []
    for target, all_least in classes.items():
        right = sorted(least for least in all_least if least > 0)
        if len(right) > 1:
            middle = right[(len(right) - 1) // 2]
            told.append((middle, target, len(all_least), len(right)))
    return [
        (
            found.classes[target],
            images,
            right,
            shown_epsilon(middle) if middle < math.inf else f"over {shown_epsilon(one.epsilons[-1])}",
        )
        for middle, target, images, right in sorted(told)[:WEAKEST]
    ]


def _entry(found: Findings, one: Broken) -> tuple[str, str, list[list[tuple[str, str]]]]:
    target = found.classes[int(found.predictions.targets[one.row])]
    heading = (
        f"“{target}” is called “{found.classes[one.after]}” after a change of at most {shown_epsilon(one.epsilon)}"
    )
    pictures = report.before_after(one.image, one.adversarial)
    return heading, found.predictions.files[one.row], [pictures]
