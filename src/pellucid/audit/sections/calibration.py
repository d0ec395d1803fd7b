"""Whether its confidence can be trusted: reliability diagram, ECE, Brier score."""

from typing import Any

from markupsafe import Markup

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.words import percent
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
    return {"calibration": {"ece": found.ece, "brier": found.brier, "nll": found.loss}}


def _calibrated(found: Findings) -> Fact:
    stated = float(found.predictions.confidence.double().mean())
    gap = stated - found.top1.value
    if abs(gap) <= CALIBRATED:
        value, verdict = "as stated", "its confidence can be taken at its word on average"
    elif gap > 0:
        value, verdict = "overconfident", f"it overstates by {100 * gap:.1f} points"
    else:
        value, verdict = "underconfident", f"it understates by {-100 * gap:.1f} points"
    return Fact(
        "Confidence",
        value,
        f"It is {percent(stated)} sure on average and right {percent(found.top1.value)} of the time: {verdict} "
        f"(ECE {found.ece:.3f}).",
    )
