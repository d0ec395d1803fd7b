"""How much it can answer and be right as often as asked, and which score warns best of its mistakes."""

import math
from typing import Any

from markupsafe import Markup

from pellucid import report
from pellucid.audit.answers import SURE, Answers
from pellucid.audit.findings import Findings
from pellucid.audit.warned import DROPPED, FEWEST, SAMPLES, Warned, Warner
from pellucid.audit.words import certain, counted, ends, measured, percent, shifted_by, signed, spanned, within
from pellucid.metrics.ranking import Threshold
from pellucid.report import Fact, Section

NAMES = {
    "max_probability": "stated probability",
    "entropy": "entropy",
    "margin": "margin",
    "energy": "energy",
    "doctor": "DOCTOR",
    "mc_dropout": "MC dropout",
}


def sections(found: Findings) -> list[Section]:
    """The curve, the thresholds, and the scores compared; or why there are none."""
    title = "When to trust an answer"
    if found.certainty is None:
        return [Section("answers", title, "", report.notice(f"Not told: {found.uncertain}."))]
    one, warned = found.certainty.answers, found.certainty.warned
    body = report.notice(_sentence(one))
    told = (
        f"Of {counted(one.judged)}, the surest first: the share that is wrong, with its 95 % interval at each place; "
        "dashed what is asked for"
    )
    chosen = (one.coverage.value, 1 - one.accuracy.value) if one.accuracy is not None else None
    figure = report.risk_curves({"stated": one.curve}, "Risk over coverage. " + told, asked=one.asked, chosen=chosen)
    told += ", the dot what the threshold gave." if chosen else "."
    head = ("threshold", "answers above", "answers", "right among these")
    table = report.table(head, _thresholds(one), "Two ways to take the threshold", numbers=(1, 2, 3), whole=(0,))
    drawn = report.drawings([(figure, told)])
    body += Markup('{}<div class="two"><div>{}</div><div>{}</div></div>').format(table, drawn, _terms(one))
    body += (
        report.notice(f"No score can be compared: {found.certainty.unwarned}.") if warned is None else _warners(warned)
    )
    lead = (
        "A model that may say “I do not know” answers only above some confidence. The threshold was chosen on one half "
        "of the images, drawn with the seed, and what it brings was counted on the other."
    )
    return [Section("answers", title, lead, body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """How much it can answer, and whether anything warns better than the stated probability."""
    if found.certainty is None:
        return ()
    one, warned = found.certainty.answers, found.certainty.warned
    told = [Fact(f"To be right in {100 * one.asked:g} %", _value(one), _sentence(one))]
    if warned is not None:
        clear = warned.best if warned.is_told_apart else warned.warners[0]
        told.append(Fact("Warns of mistakes", NAMES[clear.name], _best(warned)))
    return tuple(told)


def numbers(found: Findings) -> dict[str, Any]:
    """Thresholds and scores."""
    if found.certainty is None:
        return {"answers": None, "warnings": None}
    one, warned = found.certainty.answers, found.certainty.warned
    sure = one.guaranteed
    told = {
        "accuracy_asked": one.asked,
        "confidence": one.confidence if one.is_reached else None,
        "chosen_on": one.fitted,
        "judged_on": one.judged,
        "coverage": ends(one.coverage),
        "accuracy": None if one.accuracy is None else ends(one.accuracy),
        "guaranteed": {
            "confidence": 1 - sure.value if sure.answered else None,
            "coverage": sure.coverage,
            "holds_with": SURE,
        },
    }
    return {"answers": told, "warnings": None if warned is None else [_told(each) for each in warned.warners]}


def _value(one: Answers) -> str:
    if not one.is_reached:
        return "answers nothing"
    return "answers every image" if one.confidence == 0 else f"answers {percent(one.coverage.value)}"


def _sentence(one: Answers) -> str:
    """How much it can answer, honestly where it cannot."""
    asked = f"Asked to be right in {100 * one.asked:g} % of its answers, it"
    if one.accuracy is None:
        missing = (
            f"no confidence sets so many right ones apart among {counted(one.fitted)}"
            if not one.is_reached
            else f"none of {counted(one.judged)} is above the confidence that this took, {certain(one.confidence)}"
        )
        return f"{asked} can answer nothing: {missing}."
    right = f"{percent(one.accuracy.value)} ({within(one.accuracy)})"
    if one.confidence == 0:
        short = ", clearly fewer" if one.falls_short else ""
        return f"{asked} can answer every image: it is right in {right} of {counted(one.judged)}{short}."
    short = ": clearly fewer than asked" if one.falls_short else ""
    return (
        f"{asked} can answer {percent(one.coverage.value)} of images ({within(one.coverage)}), those above confidence "
        f"{certain(one.confidence)}, and is right in {right} of those{short}."
    )


def _thresholds(one: Answers) -> list[tuple[str, str, str, str]]:
    above = "–" if not one.is_reached else "all" if one.confidence == 0 else certain(one.confidence)
    right = "–" if one.accuracy is None else spanned(one.accuracy)
    return [("as found", above, spanned(one.coverage), right), ("guaranteed", *_guaranteed(one.guaranteed))]


def _guaranteed(sure: Threshold) -> tuple[str, str, str]:
    if not sure.answered or sure.guaranteed is None:
        return "–", "nothing", "–"
    above = "all" if sure.coverage == 1 else certain(1 - sure.value)
    return above, percent(sure.coverage), f"at least {percent(sure.guaranteed)}"


def _terms(one: Answers) -> Markup:
    return report.definitions(
        {
            "As found": f"The lowest confidence above which {100 * one.asked:g} % are right among "
            f"{counted(one.fitted)}; counted on {one.judged:,} others.",
            "Guaranteed": "Chosen on all of these images so that new ones of the same kind are as often right as asked "
            f"in {100 * SURE:g} of 100 such choices (exact binomial bounds), and therefore answers less.",
        }
    )


def _warners(warned: Warned) -> Markup:
    rows = [
        (
            NAMES[one.name],
            measured(one.aupr),
            "–" if one.ahead is None else shifted_by(one.ahead),
            f"{one.auroc.value:.3f}",
            f"{one.aurc.value:.4f}",
            one.images,
        )
        for one in warned.warners
    ]
    head = ("score", "AUPR of mistakes", "beyond the stated", "AUROC", "AURC", "images")
    caption = f"How well each score ranks the {warned.errors:,} mistakes among {counted(warned.images)} above the rest"
    terms = {
        "AUPR of mistakes": "Area under precision and recall with mistakes as positives, higher is better; a score "
        f"that tells nothing has their share, {warned.errors / warned.images:.3f}. Beyond the stated: the difference "
        "to the stated probability on the same images, with its paired bootstrap interval; where it holds 0 the two "
        "are not told apart. Of several scores tried one may look better by chance.",
        "AUROC, AURC": "How often a mistake scores above a right answer; the mean share that is wrong over all that "
        "could be answered, lower is better.",
    }
    if any(one.name == "mc_dropout" for one in warned.warners):
        terms["MC dropout"] = (
            f"Entropy of the mean answer of {SAMPLES} networks thinned by the model's own dropout, on {DROPPED} images "
            "at most; its AUPR belongs to these, so compare the difference."
        )
    table = report.table(head, rows, caption, numbers=range(1, 6), whole=(0,))
    notes = [report.notice(note) for note in (_best(warned), *warned.notes)]
    return Markup("").join(notes) + table + report.details("What these mean", report.definitions(terms))


def _best(warned: Warned) -> str:
    """The score that warns best, and whether it can be told from what the model states."""
    best, stated = warned.best, warned.warners[0]
    tried = len(warned.warners)
    base = f"AUPR {best.aupr.value:.2f}, 95 % interval {best.aupr.low:.2f} to {best.aupr.high:.2f}"
    if best.ahead is None:
        chance = warned.errors / warned.images
        return (
            f"Of {tried} scores none ranks its {warned.errors:,} mistakes better than the probability it states "
            f"({base}, chance {chance:.2f})."
        )
    low, high = signed(best.ahead.low, 3), signed(best.ahead.high, 3)
    apart = f"difference {signed(best.ahead.value, 3)}, 95 % interval {low} to {high}"
    start = f"Of {tried} scores, {NAMES[best.name]} ranks its mistakes best ({base})"
    if warned.is_told_apart:
        return f"{start}, clearly better than the {NAMES[stated.name]} ({apart})."
    if best.rarer < FEWEST:
        return f"{start}, but so few mistakes, or right answers, tell it apart from nothing ({apart})."
    return f"{start}, but is not told apart from the {NAMES[stated.name]} ({apart})."


def _told(one: Warner) -> dict[str, Any]:
    told: dict[str, Any] = {"score": one.name, "images": one.images}
    told |= {name: ends(value) for name, value in (("aupr", one.aupr), ("auroc", one.auroc), ("aurc", one.aurc))}
    return told | {"ahead_of_stated": None if one.ahead is None or math.isnan(one.ahead.value) else ends(one.ahead)}
