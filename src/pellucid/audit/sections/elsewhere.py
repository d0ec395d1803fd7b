"""Pictures from elsewhere: which detector tells them from the model's own, and those that pass."""

from typing import Any

import torch
from torch import Tensor

from pellucid import report
from pellucid.audit.elsewhere import Elsewhere, Passed
from pellucid.audit.findings import Findings
from pellucid.audit.words import counted, ends, measured, percent, spanned
from pellucid.report import Fact, Section
from pellucid.uncertainty.ood import Comparison, spread

NAMES = {
    "max_probability": "stated probability",
    "max_logit": "largest logit",
    "energy": "energy",
    "entropy": "entropy",
    "odin": "ODIN",
    "mc_dropout": "MC dropout",
}


def sections(found: Findings) -> list[Section]:
    """The table, how the best score is spread, and pictures that pass as known."""
    one = found.elsewhere
    if one is None:
        return []
    body = report.notice(_sentence(one))
    for note in one.notes:
        body += report.notice(note)
    table, name = one.compared.table, one.best.name
    head = ("detector", "AUROC", "pass where 95 % of its own do", "AUPR", "detection error")
    rows = [
        (
            NAMES[row.name],
            measured(row.auroc),
            spanned(row.fpr95),
            f"{row.aupr_out.value:.3f}",
            f"{row.detection_error.value:.3f}",
        )
        for row in sorted(table.rows, key=lambda row: -row.auroc.value)
    ]
    caption = f"{counted(table.inside)} of its own and {table.outside:,} from elsewhere, best first"
    body += report.table(head, rows, caption, numbers=range(1, 5), whole=(0,))
    scores, axis = _readable(one.compared, name)
    both = spread(scores[0], scores[1], bins=30)
    shares = {f"its own ({table.inside})": both.known, f"from elsewhere ({table.outside})": both.others}
    told = f"How the score of {NAMES[name]} is spread, higher being less known"
    limit = float(scores[2])
    figure = report.populations(shares, both.edges, told, x=axis, threshold=limit, told="95 % of its own pass")
    body += report.drawings([(figure, told + ".")])
    body += report.thumbnails([_entry(found, each) for each in one.passed])
    lead = (
        f"Pictures of {one.path}, which show something else than its classes, beside its own. Detectors need no "
        "fitting; one that is chosen because it did best here may do a little less elsewhere. The pictures below pass "
        "as known, the most trusted first."
    )
    return [Section("elsewhere", "Pictures from elsewhere", lead, body)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """How many pass."""
    one = found.elsewhere
    if one is None:
        return ()
    return (Fact("From elsewhere", f"{percent(one.best.fpr95.value)} pass", _sentence(one)),)


def numbers(found: Findings) -> dict[str, Any]:
    """Every detector's row."""
    one = found.elsewhere
    if one is None:
        return {"elsewhere": None}
    rows = {
        row.name: {
            "auroc": ends(row.auroc),
            "fpr95": ends(row.fpr95),
            "aupr_out": ends(row.aupr_out),
            "aupr_in": ends(row.aupr_in),
            "detection_error": ends(row.detection_error),
            "threshold": one.compared.thresholds[row.name],
        }
        for row in one.compared.table.rows
    }
    table = one.compared.table
    return {"elsewhere": {"path": one.path, "inside": table.inside, "outside": table.outside, "detectors": rows}}


def _sentence(one: Elsewhere) -> str:
    best, table = one.best, one.compared.table
    return (
        f"Of {counted(table.outside)} of {one.path}, {percent(best.fpr95.value)} (95 % interval "
        f"{percent(best.fpr95.low)} to {percent(best.fpr95.high)}) pass as known where 95 % of its own do, by "
        f"{NAMES[best.name]}, the best of {len(table.rows)} detectors (AUROC {best.auroc.value:.2f}, "
        f"{best.auroc.low:.2f} to {best.auroc.high:.2f})."
    )


def _readable(compared: Comparison, name: str) -> tuple[tuple[Tensor, Tensor, Tensor], str]:
    """Scores of its own, of others and the threshold as they can be drawn: logarithmic where most are near 0."""
    known, others = compared.scores_in[name].double(), compared.scores_out[name].double()
    limit = torch.tensor(compared.thresholds[name], dtype=torch.float64)
    low, high = (float(bound) for bound in torch.cat([known, others]).aminmax())
    axis = f"score: {NAMES[name]}"
    if high - low < 0.01 * max(abs(low), abs(high)):
        known, others, limit = ((some - limit) / (high - low) for some in (known, others, limit))
        axis += ", less the threshold, as a share of its range"
    elif low >= 0 and float(known.median()) < 0.1 * high:
        known, others, limit = ((1e-12 + some).log10() for some in (known, others, limit))
        axis += ", as a power of ten"
    return (known, others, limit), axis


def _entry(found: Findings, one: Passed) -> tuple[str, str]:
    says = f"“{found.classes[one.predicted]}”, {percent(one.confidence)} sure; {one.file.rpartition('/')[2]}"
    return report.thumbnail(one.image), says
