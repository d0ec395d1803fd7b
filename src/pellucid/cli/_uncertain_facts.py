"""The numbers of one `pellucid uncertainty`, and the sentences that tell them."""

import math
from dataclasses import fields
from pathlib import PurePath
from typing import Any

from pellucid.methods import title
from pellucid.metrics import Interval
from pellucid.metrics.ranking import FailureRow
from pellucid.report import Fact
from pellucid.uncertainty import ood

from ._attack_facts import band, percent
from ._shared import counted
from ._uncertain_answers import PLAIN, Judged
from ._uncertain_asked import Found

NAMES = {
    "mutual_information": "mutual information",
    "entropy": "entropy",
    "expected_entropy": "expected entropy",
    "variation_ratio": "variation ratio",
    "least_confidence": "least confidence",
    "margin": "margin",
    "predicted_variance": "variance of the predicted class",
    "mean_class_variance": "mean per-class variance",
    "total_class_variance": "total variance of the classes",
}
"""Scores as people write them."""

NATS = ("mutual_information", "entropy", "expected_entropy")

FEWEST = 5
"""Wrong answers, and right ones, below which no score is called better: draws of a single one have no spread."""


def summary(found: Found) -> dict[str, Any]:
    """The numbers, as `summary.json` holds them; shares in [0, 1], entropies in nats."""
    answers = found.answers
    detected, fitted = found.detection, found.calibration
    return {
        "format": 1,
        "sampler": found.sampler.name,
        "samples": answers.votes.shape[1],
        "members": list(found.ready.members),
        "by": found.by,
        "images": len(answers),
        "labels": answers.pictures.labels is not None,
        "disagree": int(answers.disagrees.sum()),
        "all_samples_alike": alike(found),
        "most_uncertain": [answers.pictures.files[place] for place in answers.shown],
        "score_quartiles": {
            name: score.double().quantile(score.new_tensor([0.25, 0.5, 0.75]).double()).tolist()
            for name, score in answers.scores.items()
        },
        "seconds": round(answers.seconds, 3),
        "failure": None if found.table is None else _failure_numbers(found),
        "probabilities": {name: _judged_numbers(one) for name, one in found.judged.items()},
        "fitted_on": None if found.learned_from is None else _fitted_numbers(found),
        "calibration": None if fitted is None else {"kind": fitted.kind, "told": fitted.told, "images": fitted.images},
        "detection": None if detected is None else _detection_numbers(found),
        "unreadable": [{"file": error.file, "reason": error.reason} for error in answers.pictures.errors],
    }


def facts(found: Found) -> list[Fact]:
    """The things worth knowing, each a sentence that stands alone."""
    told = [_first(found), _disagree(found)]
    if found.table is not None:
        told += [_accuracy(found), _errors(found), _word(found)]
    if found.calibration is not None:
        told.append(_calibrated(found))
    if found.detection is not None:
        told.append(_detected(found))
    return [*told, _cost(found)]


def alike(found: Found) -> bool:
    """Whether all samples of every picture are the same."""
    return float(found.answers.scores["total_class_variance"].max()) == 0


def row_of(found: Found, name: str) -> FailureRow:
    """A score's row of the failure table."""
    assert found.table is not None
    return next(row for row in found.table.rows if row.name == name)


def too_few(found: Found) -> str:
    """Why no two scores can be told apart; empty where they can."""
    assert found.table is not None
    wrong, right = found.table.errors, found.table.images - found.table.errors
    if min(wrong, right) >= FEWEST:
        return ""
    return f"{counted(wrong, 'wrong answer')} and {counted(right, 'right one')} are too few to compare scores by"


def number(interval: Interval) -> str:
    """A number in [0, 1] with its interval."""
    if math.isnan(interval.value):
        return "–"
    return f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def amount(name: str, value: float) -> str:
    """A score's value with its unit."""
    return f"{value:#.3g}{' nats' if name in NATS else ''}"


def detector_name(name: str) -> str:
    """A detector's name as people write it."""
    made = ood.PLAIN.get(name) or ood.FITTED.get(name)
    return title(made) if made else f"samples: {NAMES[name.rpartition(' ')[2]]}"


def _first(found: Found) -> Fact:
    answers = found.answers
    place = answers.shown[0]
    file = answers.pictures.files[place]
    value = float(answers.scores[found.by][place])
    says = found.classes[int(answers.predicted[place])].partition(",")[0]
    mean = float(answers.mean[place].max())
    text = f"Least sure of {file}: {NAMES[found.by]} {amount(found.by, value)}; “{says}”, {percent(mean)} on average."
    return Fact("Look first at", PurePath(file).name, text)


def _disagree(found: Found) -> Fact:
    answers = found.answers
    count, images, samples = int(answers.disagrees.sum()), len(answers), answers.votes.shape[1]
    if alike(found):
        text = f"All {samples} samples of every image are the same: {found.sampler.name} finds nothing to disagree on."
        return Fact("Spread", "none", text)
    split = int((answers.scores["variation_ratio"] > 0).sum())
    text = (
        f"The {samples} samples do not all agree on {split} of {counted(images, 'image')}; on {count} the class that "
        "most vote for is not that of the largest mean."
    )
    return Fact("Split votes", f"{split} of {images}", text)


def _accuracy(found: Found) -> Fact:
    plain, mean = list(found.judged.values())[:2]
    text = (
        f"The mean of the samples is right on {percent(mean.accuracy.value)} (95 % interval {band(mean.accuracy)}), "
        f"the model as it is on {percent(plain.accuracy.value)}."
    )
    return Fact("Accuracy", percent(mean.accuracy.value), text)


def _errors(found: Found) -> Fact:
    table = found.table
    assert table is not None
    if table.undefined:
        return Fact("Finds its errors", "none to tell", f"Not to be told: {table.undefined}.")
    row, plain = row_of(found, found.by), row_of(found, PLAIN)
    score = NAMES[found.by]
    text = (
        f"A wrong answer has the higher {score} than a right one in {percent(row.auroc.value)} of pairs "
        f"({band(row.auroc)}; {counted(table.errors, 'error')}); 1 − the plain largest probability in "
        f"{percent(plain.auroc.value)} ({band(plain.auroc)})."
    )
    if few := too_few(found):
        text += f" {few}."
    return Fact("Finds its errors", f"AUROC {row.auroc.value:.3f}", text)


def _word(found: Found) -> Fact:
    plain, mean = list(found.judged.values())[:2]
    gap = mean.confidence - mean.accuracy.value
    value = "as stated" if abs(gap) <= 0.02 else "overconfident" if gap > 0 else "underconfident"
    if value != "as stated" and mean.accuracy.low <= mean.confidence <= mean.accuracy.high:
        value = "cannot be told"
    text = (
        f"The mean of the samples is {percent(mean.confidence)} sure on average and right "
        f"{percent(mean.accuracy.value)} of the time (ECE {mean.ece.value:.3f}); the model as it is has ECE "
        f"{plain.ece.value:.3f}."
    )
    return Fact("Confidence", value, text)


def _calibrated(found: Found) -> Fact:
    fitted = found.calibration
    assert fitted is not None
    text = f"Fitted on {counted(fitted.images, 'image')} of {fitted.path}: {fitted.told}."
    if found.judged:
        before, after = next(iter(found.judged.values())), list(found.judged.values())[-1]
        text += f" On the images here ECE goes from {before.ece.value:.3f} to {after.ece.value:.3f}."
    text += (
        " OUT/calibrated is the model that says so." if fitted.model else " No model can hold it: see OUT/calibration."
    )
    return Fact("Calibrated", fitted.told, text)


def _detected(found: Found) -> Fact:
    detected = found.detection
    assert detected is not None
    table = detected.compared.table
    best = next(row for row in table.rows if row.name == detected.best)
    text = (
        f"Of {len(table.rows)} detectors “{detector_name(best.name)}” best tells {table.outside} images of "
        f"{detected.elsewhere.path} from {table.inside} known: AUROC {best.auroc.value:.3f} ({best.auroc.low:.3f}–"
        f"{best.auroc.high:.3f}); chosen on these very images, it flatters."
    )
    return Fact("From elsewhere", f"AUROC {best.auroc.value:.3f}", text)


def _cost(found: Found) -> Fact:
    answers = found.answers
    images, samples = len(answers), answers.votes.shape[1]
    text = (
        f"{counted(samples, 'sample')} of {counted(images, 'image')} took {_long(answers.seconds)} seconds, "
        f"{_long(1000 * answers.seconds / images)} milliseconds an image."
    )
    return Fact("Cost", f"{_long(answers.seconds)} s", text)


def _long(value: float) -> str:
    """A time to three digits, never as a power of ten."""
    return f"{value:.3g}" if value < 999 else f"{value:,.0f}"


def _failure_numbers(found: Found) -> dict[str, Any]:
    table = found.table
    assert table is not None
    return {
        "images": table.images,
        "errors": table.errors,
        "error_rate": _interval(table.error_rate),
        "undefined": table.undefined,
        "scores": {row.name: _row(row) for row in table.rows},
    }


def _detection_numbers(found: Found) -> dict[str, Any]:
    detected = found.detection
    assert detected is not None
    compared = detected.compared
    return {
        "elsewhere": detected.elsewhere.path,
        "known": compared.table.inside,
        "others": compared.table.outside,
        "ratio_before_balancing": compared.ratio,
        "detectors": {row.name: _row(row) for row in compared.table.rows},
        "thresholds": compared.thresholds,
        "not_among_them": list(detected.notes),
        "fitted_on": detected.fitted_on,
    }


def _fitted_numbers(found: Found) -> dict[str, Any]:
    some = found.learned_from
    assert some is not None
    return {"path": some.path, "split": some.split, "images": len(some), "also_asked_about": found.shared}


def _judged_numbers(one: Judged) -> dict[str, Any]:
    return {
        "accuracy": _interval(one.accuracy),
        "mean_confidence": one.confidence,
        "ece": _interval(one.ece),
        "nll": _interval(one.loss),
        "brier": _interval(one.brier),
        "bins": {
            "edges": one.bins.edges.tolist(),
            "count": one.bins.count.tolist(),
            "confidence": [_plain(value) for value in one.bins.confidence.tolist()],
            "accuracy": [_plain(value) for value in one.bins.accuracy.tolist()],
        },
    }


def _row(row: Any) -> dict[str, Any]:
    """A row of a table of intervals."""
    return {field.name: _interval(getattr(row, field.name)) for field in fields(row) if field.name != "name"}


def _interval(one: Interval) -> dict[str, float | None]:
    return {"value": _plain(one.value), "low": _plain(one.low), "high": _plain(one.high)}


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
