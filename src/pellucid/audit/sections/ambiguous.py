"""Which classes an image may be of: conformal sets, how large they are, and the images with the largest."""

from typing import Any

from pellucid import report
from pellucid.audit.ambiguous import Ambiguous, Sets
from pellucid.audit.findings import Findings
from pellucid.audit.words import counted, ends, percent, spanned, within
from pellucid.metrics import proportion
from pellucid.report import Fact, Section

STEPS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, 50))
"""Sizes told together; beyond them all others."""

NAMED = 4
"""Classes of a set that are named."""


def sections(found: Findings) -> list[Section]:
    """How large the sets are, and pictures; nothing where it cannot be told, which is said with the answers."""
    if found.certainty is None:
        return []
    one = found.certainty.sets
    body = report.notice(_sentence(one))
    sizes = _sizes(one)
    if len(sizes) > 1:
        head = ("classes in the set", "images", "hold the true class")
        body += report.table(head, sizes, f"Sets of {counted(one.judged)}, by size", numbers=(1, 2), whole=(0,))
    body += report.thumbnails([_entry(found, each) for each in one.largest])
    lead = (
        f"Where one answer is asked too much, a set of classes can be given that holds the true one in "
        f"{100 - 100 * one.alpha:g} % of new images (split conformal prediction: every class above a probability that "
        f"{counted(one.fitted)} set, counted on the other half). Large sets mark pictures that may be many things."
    )
    return [Section("sets", "What else it may be", lead, body)]


def facts(_found: Findings) -> tuple[Fact, ...]:
    """None: the section says it."""
    return ()


def numbers(found: Findings) -> dict[str, Any]:
    """Sizes and coverage."""
    if found.certainty is None:
        return {"conformal_sets": None}
    one = found.certainty.sets
    told = {
        "alpha": one.alpha,
        "probability": one.least,
        "fitted_on": one.fitted,
        "judged_on": one.judged,
        "mean_size": one.coverage.mean_size,
        "coverage": ends(one.coverage.coverage),
        "was_empty": one.coverage.was_empty,
    }
    return {"conformal_sets": told}


def _sentence(one: Sets) -> str:
    share, asked = one.coverage.coverage, f"{100 - 100 * one.alpha:g} %"
    held = f"in {percent(share.value)} ({within(share)}) of {counted(one.judged)} it was in the set"
    alone = int(one.coverage.images_of_size[1])
    if alone == one.judged:
        return f"To hold the true class in {asked}, one class is enough for every image: {held}."
    return (
        f"To hold the true class in {asked}, a set needs {one.coverage.mean_size:.2f} classes on average, and one is "
        f"enough for {percent(alone / one.judged)} of images: {held}."
    )


def _sizes(one: Sets) -> list[tuple[str, int, str]]:
    sizes = one.coverage.images_of_size
    held = one.coverage.coverage_of_size.nan_to_num() * sizes
    most = len(sizes) - 1
    rows = []
    for low, high in (*STEPS, (STEPS[-1][1] + 1, most)):
        images = int(sizes[low : high + 1].sum())
        if images:
            name = f"{low}" if low == high else f"{low} to {min(high, most)}"
            rows.append((name, images, spanned(proportion(round(float(held[low : high + 1].sum())), images))))
    return rows


def _entry(found: Findings, one: Ambiguous) -> tuple[str, str]:
    truth = found.classes[int(found.predictions.targets[one.row])]
    names = ", ".join(f"“{found.classes[index]}”" for index in one.classes[:NAMED])
    more = f" and {len(one.classes) - NAMED} more" if len(one.classes) > NAMED else ""
    file = found.predictions.files[one.row].rpartition("/")[2]
    return report.thumbnail(one.image), f"{names}{more}; labelled “{truth}”, {file}"
