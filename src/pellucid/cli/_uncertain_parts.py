"""Parts of the page of one `pellucid uncertainty` that are not always there: errors, calibration, detection."""

from collections.abc import Sequence
from pathlib import PurePath

from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.metrics.ranking import failure_differences, risk_coverage
from pellucid.report import Section
from pellucid.uncertainty import ood

from ._attack_facts import band, percent
from ._shared import counted
from ._uncertain_answers import PLAIN
from ._uncertain_asked import Found
from ._uncertain_detection import Detection
from ._uncertain_facts import NAMES, detector_name, number, too_few

THUMBNAILS = 24
"""Pictures of a kind in the sheets of those told wrongly."""

UNLIKE = 0.5
"""Difference of two shares of grey images above which the sets may be told apart by that alone."""


def errors_section(found: Found) -> list[Section]:
    """Whether the scores find the wrong answers; nothing without labels."""
    table = found.table
    if table is None:
        return []
    lead = (
        f"{counted(table.errors, 'wrong answer')} of {table.images} (error rate {percent(table.error_rate.value)}, "
        f"95 % interval {band(table.error_rate)}). A score that tells nothing has an AUPR of the error rate and an "
        "AUROC of 0.5. In brackets 95 % bootstrap intervals over the images."
    )
    if table.undefined:
        return [Section("errors", "Whether it finds its errors", lead, report.notice(f"{table.undefined}."))]
    head = ("score", "AUPR, errors", "AUROC", "FPR at 95 % TPR", "AURC")
    rows = [
        (_score(row.name), *(number(one) for one in (row.aupr_error, row.auroc, row.fpr95, row.aurc)))
        for row in table.rows
    ]
    listed = report.table(head, rows, "How well each score ranks the errors first", numbers=(1, 2, 3, 4), whole=(0,))
    answers = found.answers
    assert answers.correct is not None
    curves = {NAMES[found.by]: answers.scores[found.by], _score(PLAIN): 1 - answers.plain.amax(dim=1)}
    label = "Risk over coverage: the share that is wrong among the surest images, by how many are answered"
    drawn = report.risk_curves({name: risk_coverage(one, answers.correct) for name, one in curves.items()}, label)
    told = "Answering only the surest images: the lower the curve on the left, the better the score."
    words = report.definitions(
        {
            "AUPR, errors": "Area under precision over recall with the errors as positives; depends on the error rate, "
            "so it compares scores of one model and never models.",
            "AUROC": "Share of pairs of a wrong and a right answer in which the wrong one has the higher score.",
            "FPR at 95 % TPR": "Share of the errors that pass where 95 % of the right answers do; lower is better.",
            "AURC": "Mean error rate over all shares answered; lower is better.",
        }
    )
    body = report.notice(_apart(found)) + listed + report.drawings([(drawn, told)]) + words
    return [Section("errors", "Whether it finds its errors", lead, body)]


def calibration_section(found: Found) -> list[Section]:
    """How far stated probabilities and accuracy agree, before and after; nothing without labels."""
    if not found.judged:
        return [_fitted_unseen(found)] if found.calibration else []
    rows = [
        (
            name,
            percent(one.accuracy.value),
            percent(one.confidence),
            *(number(x) for x in (one.ece, one.loss, one.brier)),
        )
        for name, one in found.judged.items()
    ]
    head = ("probabilities of", "right", "sure", "ECE", "NLL, nats", "Brier score")
    caption = "Lower ECE, NLL and Brier score are better; in brackets 95 % intervals"
    listed = report.table(head, rows, caption, numbers=(1, 2, 3, 4, 5))
    drawn = [
        (
            report.reliability_diagram(
                one.bins, f"Reliability of {name}: sure {percent(one.confidence)}, right {percent(one.accuracy.value)}"
            ),
            f"{name[0].upper()}{name[1:]}.",
        )
        for name, one in found.judged.items()
    ]
    lead = "Bars on the dashed line: when it says 80 %, it is right 80 % of the time. Bars below: overconfident."
    body = _where_fitted(found) + listed + report.drawings(drawn)
    return [Section("calibration", "Whether its confidence can be trusted", lead, body)]


def detection_section(found: Found) -> list[Section]:
    """Whether images from elsewhere are told from known ones; nothing unless asked for."""
    detected = found.detection
    if detected is None:
        return []
    compared = detected.compared
    table = compared.table
    lead = (
        f"{table.inside} known images, {table.outside} of {detected.elsewhere.path}; as many of both are taken, since "
        "AUPR depends on their ratio. A detector that tells nothing has 0.5 throughout, and an FPR of 0.95. In "
        "brackets 95 % bootstrap intervals."
    )
    head = ("detector", "AUROC", "AUPR out", "AUPR in", "FPR95", "detection error")
    rows = [
        (
            detector_name(row.name),
            *(number(one) for one in (row.auroc, row.aupr_out, row.aupr_in, row.fpr95, row.detection_error)),
        )
        for row in sorted(table.rows, key=lambda row: -row.auroc.value)
    ]
    listed = report.table(head, rows, "Images from elsewhere as positives", numbers=(1, 2, 3, 4, 5), whole=(0,))
    body = _lookalike(detected) + listed + _histograms(found, detected)
    if found.shared and detected.fitted_on:
        told = (
            f"{found.shared} of the known images were fitted on as well: detectors that are fitted look too good here."
        )
        body = report.notice(told) + body
    body += _told_wrongly(found, detected)
    body += report.definitions(
        {
            "AUROC": "Share of pairs of an image from elsewhere and a known one in which the former scores higher.",
            "AUPR out, in": "Area under precision over recall, those from elsewhere or the known ones being sought.",
            "FPR95": "Share of the images from elsewhere that pass where 95 % of the known ones do; lower is better.",
            "detection error": "Smallest mean of known images rejected and others passed; lower is better.",
        }
    )
    if detected.notes:
        body += report.details(
            f"{counted(len(detected.notes), 'detector')} could not be asked", report.plain_list(detected.notes)
        )
    return [Section("elsewhere", "Whether it knows what it does not know", lead, body)]


def _score(name: str) -> str:
    """A score's name as people write it."""
    return "largest probability of the model as it is" if name == PLAIN else NAMES[name]


def _apart(found: Found) -> str:
    """Whether the chosen score is told apart from the plain largest probability, by the same draws."""
    answers = found.answers
    assert answers.correct is not None
    if few := too_few(found):
        return f"{few}: {NAMES[found.by]} cannot be told from the model's own largest probability here."
    scores = {found.by: answers.scores[found.by], PLAIN: 1 - answers.plain.amax(dim=1)}
    (row,) = failure_differences(scores, answers.correct, against=PLAIN)
    gap, score = row.auroc, NAMES[found.by].capitalize()
    span = f"{gap.value:+.3f} in AUROC, 95 % interval {gap.low:+.3f} to {gap.high:+.3f}"
    if gap.low > 0:
        return f"{score} ranks errors better than the model's own largest probability does ({span})."
    if gap.high < 0:
        return f"{score} ranks errors worse than the model's own largest probability does ({span})."
    return f"{score} cannot be told from the model's own largest probability here ({span})."


def _where_fitted(found: Found) -> Markup:
    """What a calibration was fitted on, and whether it is judged fairly."""
    fitted = found.calibration
    if fitted is None:
        return Markup("")
    split = f", split {fitted.split}" if fitted.split else ""
    text = f"The calibration ({fitted.told}) was fitted on {counted(fitted.images, 'image')} of {fitted.path}{split}, "
    if found.shared:
        text += f"{found.shared} of which are judged here as well: what is shown of it is too good."
    else:
        text += "none of which is judged here."
    if fitted.split == "train":
        text += (
            " A model that was trained on these is surer of them than of others, and the calibration does too little."
        )
    return report.notice(text)


def _fitted_unseen(found: Found) -> Section:
    lead = "The images have no labels, so that nothing can be said of how far it is right."
    return Section("calibration", "The calibrated model", lead, _where_fitted(found))


def _histograms(found: Found, detected: Detection) -> Markup:
    """Both populations under the best detector, and under the sampler's chosen score."""
    compared = detected.compared
    names = list(dict.fromkeys((detected.best, f"{found.sampler.name} {found.by}")))
    drawn = []
    for name in names:
        spread = ood.spread(compared.scores_in[name], compared.scores_out[name])
        shares = {"known": spread.known, "from elsewhere": spread.others}
        label = f"Scores by {detector_name(name)} of known images and of those from elsewhere"
        figure = report.populations(
            shares,
            spread.edges,
            label,
            x=detector_name(name),
            threshold=compared.thresholds[name],
            told="95 % of known pass",
        )
        drawn.append((figure, f"{detector_name(name)}: the less the two overlap, the better."))
    return report.drawings(drawn)


def _told_wrongly(found: Found, detected: Detection) -> Markup:
    """Sheets of what passed and of what was rejected, by the best detector."""
    best, compared = detected.best, detected.compared
    others, known = compared.passed[best], compared.rejected[best]
    elsewhere, pictures = detected.elsewhere, found.answers.pictures
    body = Markup("<h3>{}</h3>").format(
        f"From elsewhere, but trusted by {detector_name(best)}: {len(others)} of {compared.table.outside}"
    )
    body += _first(len(others), "the most trusted")
    body += _sheet([(elsewhere.images[row], elsewhere.files[row]) for row in others[:THUMBNAILS].tolist()])
    body += Markup("<h3>{}</h3>").format(f"Known, but rejected: {len(known)} of {compared.table.inside}")
    body += _first(len(known), "the least trusted")
    return body + _sheet([(pictures.image(row), pictures.files[row]) for row in known[:THUMBNAILS].tolist()])


def _first(count: int, which: str) -> Markup:
    return Markup("<p>The first {}, {} first.</p>").format(THUMBNAILS, which) if count > THUMBNAILS else Markup("")


def _sheet(shown: Sequence[tuple[Tensor, str]]) -> Markup:
    if not shown:
        return Markup("<p>None.</p>")
    return report.thumbnails(
        [
            (
                report.data_uri(report.pixels(report.fitted(image, 96, 128)), exact=min(image.shape[-2:]) < 96),
                _short(name),
            )
            for image, name in shown
        ]
    )


def _short(name: str) -> str:
    return PurePath(name).name


def _lookalike(detected: Detection) -> Markup:
    """What tells the two sets apart before any network looks."""
    told = []
    for name, one in (("known", detected.compared.appearance_in), ("from elsewhere", detected.compared.appearance_out)):
        means = ", ".join(f"{value:.2f}" for value in one.mean)
        spreads = ", ".join(f"{value:.2f}" for value in one.std)
        told.append((name, means, spreads, f"{one.low:.2f} to {one.high:.2f}", percent(one.gray)))
    head = ("images", "mean of each channel", "spread", "values", "grey")
    table = report.table(head, told, "If these differ much, so may the ways the pictures were made", whole=(0,))
    gray = detected.compared.appearance_in.gray, detected.compared.appearance_out.gray
    unlike = Markup("")
    if abs(gray[0] - gray[1]) > UNLIKE:
        unlike = report.notice(
            f"{percent(gray[0])} of the known images are grey, {percent(gray[1])} of those from elsewhere: a detector "
            "may see that and nothing else."
        )
    return unlike + report.details("What tells the two sets apart before any network looks", table)
