"""The five facts worth knowing, as sentences that stand alone."""

from pellucid.metrics import strongest_confusions
from pellucid.report import Fact

from .findings import Findings

CALIBRATED = 0.02
"""Gap between confidence and accuracy up to which a model is said to mean what it says."""


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def counted(images: int) -> str:
    """A number of images in words."""
    return "1 image" if images == 1 else f"{images:,} images"


def facts(found: Findings) -> tuple[Fact, ...]:
    """What to tell first: how good, where weakest, what is confused, how far to trust, what to look at."""
    return (_accuracy(found), _weakest(found), _confused(found), _calibrated(found), _first(found))


def _accuracy(found: Findings) -> Fact:
    share, count = found.top1, len(found.predictions)
    return Fact(
        "Right first time",
        percent(share.value),
        f"The model is right on {percent(share.value)} of {count:,} images "
        f"(95 % interval {percent(share.low)} to {percent(share.high)}).",
    )


def _weakest(found: Findings) -> Fact:
    score = found.per_class
    present = score.support.nonzero()[:, 0].tolist()
    worst = min(present, key=lambda index: (float(score.f1[index]), -int(score.support[index])))
    name, support = found.classes[worst], int(score.support[worst])
    precision, recall = float(score.precision[worst]), float(score.recall[worst])
    lost = [index for index in present if float(score.f1[index]) == 0]
    if len(lost) > 1:
        return Fact(
            "Never found",
            f"{len(lost)} classes",
            f"{len(lost)} of {len(present)} classes are never found, “{name}” ({counted(support)}) among them.",
        )
    return Fact(
        "Weakest class",
        name,
        f"The weakest class is “{name}”: F1 {float(score.f1[worst]):.2f} "
        f"(precision {precision:.2f}, recall {recall:.2f}, {counted(support)}).",
    )


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
