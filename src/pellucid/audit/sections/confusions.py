"""What it takes for what: the confusion matrix, or the strongest confusions."""

from typing import Any

import torch
from markupsafe import Markup

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.words import FULL_MATRIX, percent
from pellucid.metrics import confusion, strongest_confusions
from pellucid.report import Fact, Section


def sections(found: Findings) -> list[Section]:
    """Mistakes by pair of classes."""
    truth, taken = found.predictions.targets, found.predictions.predicted
    present = sorted({*truth.tolist(), *taken.tolist()})
    pairs = strongest_confusions(truth, taken, 20)
    support = found.per_class.support
    table = report.table(
        ("true class", "taken for", "images", "share of the class"),
        [(found.classes[a], found.classes[b], n, percent(n / int(support[a]))) for a, b, n in pairs],
        "The strongest confusions",
        numbers=(2, 3),
    )
    if len(present) <= FULL_MATRIX:
        places = torch.full((len(found.classes),), 0)
        places[present] = torch.arange(len(present))
        matrix = confusion(places[truth], places[taken], len(present)).tolist()
        names = [found.classes[i] for i in present]
        body = report.grid(names, matrix, "Images by true class (rows) and predicted class (columns)")
        body += report.details("The same as a list, strongest first", table) if pairs else Markup("")
    else:
        body = table if pairs else report.notice("No image was taken for another class.")
    return [Section("confusion", "What it takes for what", "Mistakes by pair of classes.", body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """The strongest confusion."""
    return (_confused(found),)


def numbers(_found: Findings) -> dict[str, Any]:
    """Nothing that the table of predictions does not hold."""
    return {}


def _confused(found: Findings) -> Fact:
    wrong = int((~found.predictions.correct).sum())
    if not wrong:
        return Fact("Most confused", "nothing", "No image is taken for another class.")
    true, taken, count = strongest_confusions(found.predictions.targets, found.predictions.predicted, 1)[0]
    if count == 1 and wrong > 1:
        return Fact("Most confused", "no pair twice", f"No pair of classes is confused twice; {wrong} are once.")
    times = "once" if count == 1 else f"{count} times"
    return Fact(
        "Most confused",
        f"{found.classes[true]} → {found.classes[taken]}",
        f"The strongest confusion: “{found.classes[true]}” is taken for “{found.classes[taken]}” {times}.",
    )
