"""The audit's sections: each is a finding and one drawing function."""

from collections.abc import Sequence

import torch
from markupsafe import Markup

from pellucid import explain, report
from pellucid.methods import methods, title
from pellucid.metrics import Interval, confusion, strongest_confusions
from pellucid.report import Fact, Section

from .explained import Explained
from .facts import percent
from .findings import Findings

FULL_MATRIX = 20
"""Up to this many classes the whole confusion matrix is shown."""

WEAKEST = 10
SIDE = 224
"""Longest side of a picture in the page, in pixels."""


def audit_page(found: Findings, facts: Sequence[Fact]) -> str:
    """The whole page."""
    record = found.record
    name = str(record.model.get("spec") or record.model.get("architecture") or "model")
    split = f", split {record.data['split']}" if record.data.get("split") else ""
    made = record.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{len(found.predictions):,} images of {record.data['path']}{split}, asked of {name} on {made} UTC"
    sections = [_accuracy(found), _classes(found), _confusions(found), _calibration(found), _mistakes(found)]
    sections += [_unsure(found), _sample(found)]
    if found.errors:
        sections.append(_left_out(found))
    return report.page(f"Audit of {name.rstrip('/').rpartition('/')[2]}", subtitle, facts, sections, record)


def _accuracy(found: Findings) -> Section:
    def interval(share: Interval) -> str:
        return f"{100 * share.low:.1f} to {percent(share.high)} (95 % interval)"

    k = found.predictions.ranked.shape[1]
    body = report.cards(
        [
            ("Accuracy (top 1)", percent(found.top1.value), interval(found.top1)),
            *(
                [(f"Accuracy (top {k})", percent(found.top5.value), interval(found.top5))]
                if k < len(found.classes)
                else []
            ),
            ("Loss", f"{found.loss:.3f}", "mean negative log probability of the true class, nats"),
            ("F1, macro", f"{found.per_class.macro_f1:.3f}", "mean over the classes that have images"),
            ("F1, weighted", f"{found.per_class.weighted_f1:.3f}", "mean weighted by images"),
        ]
    )
    if found.predictions.are_probabilities:
        body += report.notice(
            "The network's outputs already sum to 1: it ends in a softmax, and the probabilities here are softmax "
            "of softmax. Give the network without its last softmax."
        )
    if found.record.data.get("split") in {"train", "all"}:
        body += report.notice("These pictures include the training split: a model that was trained on it looks better.")
    return Section(
        "accuracy",
        "How good it is",
        "How often the true class comes first, or among the first few. The intervals (Wilson) say how far the numbers "
        "could move with other images of the same kind.",
        body,
    )


def _classes(found: Findings) -> Section:
    score = found.per_class
    present = score.support.nonzero()[:, 0].tolist()
    order = sorted(present, key=lambda index: (float(score.f1[index]), -int(score.support[index])))
    head = ("class", "F1", "precision", "recall", "images", "predicted")

    def rows(indices: Sequence[int]) -> list[tuple[object, ...]]:
        return [
            (
                found.classes[i],
                f"{float(score.f1[i]):.3f}",
                f"{float(score.precision[i]):.3f}",
                f"{float(score.recall[i]):.3f}",
                int(score.support[i]),
                int(score.predicted[i]),
            )
            for i in indices
        ]

    numbers = range(1, 6)
    if len(present) <= FULL_MATRIX:
        body = report.table(head, rows(order), "Every class, weakest first", numbers=numbers)
    else:
        body = report.table(head, rows(order[:WEAKEST]), f"The {WEAKEST} weakest classes", numbers=numbers)
        whole = report.table(head, rows(order), "Every class, weakest first", numbers=numbers)
        body += report.details(f"All {len(present)} classes", whole)
    matched = [(match.label, found.classes[match.index], match.index, match.by) for match in found.matches]
    sides = ("class of the pictures", "class of the model", "number", "matched by")
    body += report.details(
        "Which class of the model each class of the pictures is taken to be",
        report.table(sides, matched, "Matched by key (wnid), name, number, or your own map", numbers=(2,)),
    )
    return Section(
        "classes",
        "Class by class",
        "Precision: of the images taken for the class, the share that are. Recall: of the class's images, the share "
        "that are found. F1: their harmonic mean.",
        body,
    )


def _confusions(found: Findings) -> Section:
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
    return Section("confusion", "What it takes for what", "Mistakes by pair of classes.", body)


def _calibration(found: Findings) -> Section:
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
    return Section(
        "calibration",
        "Whether its confidence can be trusted",
        "Bars on the dashed line: when it says 80 %, it is right 80 % of the time. Bars below: overconfident.",
        body,
    )


def _mistakes(found: Findings) -> Section:
    body = _gallery(found, found.shown.mistakes) if found.shown.mistakes else report.notice("Nothing to show.")
    for note in found.shown.notes:
        body += report.notice(note)
    return Section(
        "mistakes",
        "Most confident mistakes",
        "Wrong, and sure of it: look here first for wrong labels, ambiguous pictures and shortcuts. Warm colours mark "
        "evidence for the class named below a map.",
        body,
    )


def _unsure(found: Findings) -> Section:
    body = _gallery(found, found.shown.unsure) if found.shown.unsure else report.notice("Nothing to show.")
    return Section("unsure", "Least confident hits", "Right, but only just.", body)


def _sample(found: Findings) -> Section:
    body = _gallery(found, found.shown.sample) if found.shown.sample else report.notice("Nothing to show.")
    return Section(
        "sample", "A random sample", f"Drawn with seed {found.record.seed}, so that nothing is picked.", body
    )


def _left_out(found: Findings) -> Section:
    lines = [f"{error.file}: {error.reason}" for error in found.errors]
    return Section(
        "left-out",
        "Left out",
        f"{len(found.errors):,} files or folders were not counted, for the reason given.",
        report.plain_list(lines),
    )


def _gallery(found: Findings, shown: Sequence[Explained]) -> Markup:
    return report.gallery([_entry(found, one) for one in shown])


def _entry(found: Findings, one: Explained) -> tuple[str, str, list[list[tuple[str, str]]]]:
    rows = found.predictions
    predicted, target = int(rows.predicted[one.row]), int(rows.targets[one.row])
    says = f"says “{found.classes[predicted]}”, {percent(float(rows.confidence[one.row]))} sure"
    truth = "" if predicted == target else f"; labelled “{found.classes[target]}”"
    small = min(one.image.shape[-2:]) < SIDE // 2
    image = report.fitted(one.image, SIDE // 2, SIDE)
    strips = {predicted: [(report.data_uri(report.pixels(image), exact=small), "what the model sees")]}
    for method, target_class, heat in one.heats:
        large = report.fitted(heat[None], SIDE // 2, SIDE)[0]
        caption = f"{title(methods(explain)[method])} for “{found.classes[target_class]}”"
        picture = report.data_uri(report.overlay(image, large), exact=small)
        strips.setdefault(target_class, []).append((picture, caption))
    return says + truth, rows.files[one.row], list(strips.values())
