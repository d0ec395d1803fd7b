"""Whether its confidence can be trusted: reliability diagram, ECE, Brier score."""

from typing import Any

from markupsafe import Markup

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.scaled import Scaled
from pellucid.audit.words import counted, ends, measured, percent, signed
from pellucid.report import Fact, Section

CALIBRATED = 0.02
"""Gap between confidence and accuracy up to which a model is said to mean what it says."""


def sections(found: Findings) -> list[Section]:
    """How far stated confidence and accuracy agree."""
    rows = found.predictions
    stated = float(rows.confidence.double().mean())
    diagram = report.reliability_diagram(
        found.bins,
        f"Reliability diagram: mean confidence {percent(stated)}, accuracy {percent(found.top1.value)}, "
        f"expected calibration error {found.ece:.3f}",
    )
    spread = report.histogram(
        {"right": rows.confidence[rows.correct].tolist(), "wrong": rows.confidence[~rows.correct].tolist()},
        "Histogram of the confidence of right and of wrong predictions",
        "probability of the predicted class",
    )
    body = report.cards(
        [
            ("ECE", f"{found.ece:.4f}", "lower is better, 0 to 1"),
            ("Brier score", f"{found.brier:.4f}", "lower is better, 0 to 2"),
            ("NLL", f"{found.loss:.4f}", "lower is better, nats"),
            ("Mean confidence", percent(stated), f"accuracy is {percent(found.top1.value)}"),
        ]
    )
    body += Markup('<div class="two">{}{}</div>').format(diagram, spread)
    body += report.definitions(
        {
            "ECE": "Expected calibration error: images are sorted into "
            f"{len(found.bins.count)} bins of equal width by the probability of their predicted class; the mean gap "
            "between that probability and the share that is right, weighted by the images in each bin.",
            "Brier score": "Mean over images of the sum over classes of (probability − truth)², truth being 1 for the "
            "true class and 0 for the others.",
            "NLL": "Negative log likelihood: mean over images of −ln(probability of the true class).",
        }
    )
    body += _scaled(found)
    one = Section(
        "calibration",
        "Whether its confidence can be trusted",
        "Bars on the dashed line: when it says 80 %, it is right 80 % of the time. Bars below: overconfident.",
        body,
    )
    return [one]


def facts(found: Findings) -> tuple[Fact, ...]:
    """How far it over- or understates."""
    return (_calibrated(found),)


def numbers(found: Findings) -> dict[str, Any]:
    """Calibration errors."""
    return {
        "calibration": {
            "ece": found.ece,
            "brier": found.brier,
            "nll": found.loss,
            "temperature": _scaled_numbers(found),
        }
    }


def _scaled(found: Findings) -> Markup:
    """What a temperature makes of it; nothing where too few images are told of with the answers."""
    if found.certainty is None:
        return Markup("")
    one = found.certainty.scaled
    if one is None:
        return report.notice(f"No temperature was fitted: {found.certainty.unscaled}.")
    told = f"After division by {one.temperature:.2f}, on the {counted(one.judged)} it was not fitted on"
    table = report.table(
        ("logits", "ECE", "NLL, nats"),
        [
            (name, measured(stated.ece), measured(stated.loss))
            for name, stated in (("as they are", one.before), (f"over {one.temperature:.2f}", one.after))
        ],
        f"Before and after, on the same {counted(one.judged)}, with 95 % intervals",
        numbers=(1, 2),
        whole=(0,),
    )
    words = (
        f"A single number that all logits are divided by ({counted(one.fitted)}, drawn with the seed, chose it; the "
        f"{one.judged:,} others judge it). The predicted class never changes; above 1 the model was too sure. Of few "
        "images the ECE is mostly noise, and not 0 for a perfectly calibrated model either: trust the NLL first."
    )
    right = report.notice(_verdict(one)) + table + report.definitions({"Temperature": words})
    figure = report.drawings([(report.reliability_diagram(one.after.bins, told), told + ".")])
    return Markup('<h3>With a temperature</h3><div class="two"><div>{}</div><div>{}</div></div>').format(right, figure)


def _verdict(one: Scaled) -> str:
    low, high = signed(-one.gain.high, 3), signed(-one.gain.low, 3)
    span = f"{signed(-one.gain.value, 3)} nats, 95 % interval {low} to {high}"
    what = f"Dividing the logits by {one.temperature:.2f}"
    if one.helps:
        return f"{what} clearly lowers the NLL on the other half ({span}): `pellucid uncertainty --calibrate` does it."
    if one.gain.high < 0:
        return f"{what} raises the NLL on the other half ({span}): leave the model as it is."
    return f"{what} does not clearly change the NLL on the other half ({span}): leave the model as it is."


def _scaled_numbers(found: Findings) -> dict[str, Any] | None:
    one = found.certainty.scaled if found.certainty is not None else None
    if one is None:
        return None
    stated = {
        name: {"ece": ends(some.ece), "nll": ends(some.loss)}
        for name, some in (("before", one.before), ("after", one.after))
    }
    return {
        "value": one.temperature,
        "fitted_on": one.fitted,
        "judged_on": one.judged,
        **stated,
        "nll_gain": ends(one.gain),
    }


def _calibrated(found: Findings) -> Fact:
    stated = float(found.predictions.confidence.double().mean())
    gap = stated - found.top1.value
    if abs(gap) <= CALIBRATED:
        value, verdict = "as stated", "its confidence can be taken at its word on average"
    elif found.top1.low <= stated <= found.top1.high:
        value, verdict = "cannot be told", f"{counted(len(found.predictions))} do not tell the two apart"
    elif gap > 0:
        value, verdict = "overconfident", f"it overstates by {100 * gap:.1f} points"
    else:
        value, verdict = "underconfident", f"it understates by {-100 * gap:.1f} points"
    one = found.certainty.scaled if found.certainty is not None else None
    mended = ""
    if "confident" in value and one is not None and one.helps and one.after.ece.value < one.before.ece.value:
        ece = f"from {one.before.ece.value:.3f} to {one.after.ece.value:.3f}"
        mended = f" Dividing its logits by {one.temperature:.2f} brings that {ece} on images it was not fitted on."
    return Fact(
        "Confidence",
        value,
        f"It is {percent(stated)} sure on average and right {percent(found.top1.value)} of the time: {verdict} "
        f"(ECE {found.ece:.3f}).{mended}",
    )
