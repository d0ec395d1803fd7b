"""The page of one `pellucid uncertainty`."""

from collections.abc import Sequence

from markupsafe import Markup

from pellucid import report
from pellucid.methods import summary as told_of
from pellucid.methods import title
from pellucid.records import Record
from pellucid.report import DrawnAnswers, Section

from ._attack_facts import percent
from ._shared import counted
from ._uncertain_asked import Found
from ._uncertain_facts import NAMES, NATS, amount, facts
from ._uncertain_parts import calibration_section, detection_section, errors_section

CLASSES = 4
"""Classes whose probabilities are drawn for an image."""

LISTED = 500
"""Images in the page's table."""

SIDE = 224
"""Longer side of a picture on the page, in pixels, at most; half of it at least."""

MEANINGS = {
    "mutual information": "What the samples disagree on, in nats: entropy of their mean less their own mean entropy. "
    "High where each is sure of another class.",
    "entropy": "All that is uncertain, in nats: entropy of the mean probabilities, from 0 to ln(classes).",
    "expected entropy": "What each sample is unsure of by itself, in nats: high for images that may be several things.",
    "variation ratio": "Share of the samples that do not vote for the class most vote for.",
    "least confidence": "One minus the mean probability of the predicted class.",
    "margin": "One minus the lead of the first class's mean probability over the second's.",
    "variance of the predicted class": "How far its probability scatters over the samples.",
    "mean per-class variance": "The same averaged over all classes: comparable only between models of equally many.",
    "total variance of the classes": "The same summed over all classes.",
}


def uncertainty_page(found: Found, made: Record) -> str:
    """The whole page."""
    answers = found.answers
    when = made.made.replace("T", " ").removesuffix("+00:00")
    split = f", split {made.data['split']}" if made.data["split"] else ""
    told = f"{answers.votes.shape[1]} samples of {title(found.sampler.made)}"
    subtitle = f"{counted(len(answers), 'image')} of {made.data['path']}{split}, {told}, asked on {when} UTC"
    sections = [*_pictures(found), *errors_section(found), *calibration_section(found), *detection_section(found)]
    sections += [_scores(found), _images(found)]
    if answers.pictures.errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in answers.pictures.errors])
        sections.append(Section("left-out", "Left out", "Pictures that could not be read, or have no label.", lines))
    return report.page(f"How sure {found.name} is", subtitle, facts(found), sections, made)


def says(found: Found, place: int) -> str:
    """What the model calls an image, in quotes, and the truth where it is known and another."""
    answers = found.answers
    name = found.classes[int(answers.predicted[place])].partition(",")[0]
    labels = answers.pictures.labels
    if labels is None or bool(labels[place] == answers.predicted[place]):
        return f"“{name}”"
    return f"“{name}”, labelled “{found.classes[int(labels[place])].partition(',')[0]}”"


def _pictures(found: Found) -> list[Section]:
    answers = found.answers
    rest = f"the others of the {counted(len(answers), 'image')}"
    lead = (
        f"Each panel: how the probability of a class is spread over the {answers.votes.shape[1]} samples (height: the "
        "share of them, from none to all; upright line: their mean). One spike at the right is a sure answer; spread, "
        f"or a spike in the middle, is not. Ordered by {NAMES[found.by]}, the highest first."
    )
    sections = [Section("uncertain", "The most uncertain", lead, _drawn(found, answers.shown))]
    if answers.others:
        lead = f"Drawn at random from {rest}, on the same axes, so that nothing is picked."
        sections.append(Section("random", "For comparison, at random", lead, _drawn(found, answers.others)))
    return sections


def _drawn(found: Found, places: Sequence[int]) -> Markup:
    return report.drawn_answers([_entry(found, place) for place in places], unit="samples")


def _entry(found: Found, place: int) -> DrawnAnswers:
    answers = found.answers
    image = answers.pictures.image(place)
    classes = answers.mean[place].argsort(descending=True, stable=True)[:CLASSES]
    small = min(image.shape[-2:]) < SIDE // 2
    return DrawnAnswers(
        picture=report.data_uri(report.pixels(report.fitted(image, SIDE // 2, SIDE)), exact=small),
        heading=f"{says(found, place)}: {amount(found.by, float(answers.scores[found.by][place]))}",
        text=answers.pictures.files[place],
        classes=tuple(found.classes[index].partition(",")[0] for index in classes.tolist()),
        probabilities=answers.drawn[place][:, classes],
        votes=tuple(int((answers.votes[place] == index).sum()) for index in classes.tolist()),
    )


def _scores(found: Found) -> Section:
    answers = found.answers
    rows = []
    for name, score in answers.scores.items():
        low, middle, high = score.double().quantile(score.double().new_tensor([0.05, 0.5, 0.95])).tolist()
        unit = ", nats" if name in NATS else ""
        numbers = (f"{value:.3g}" for value in (low, middle, high, float(score.max())))
        rows.append((f"{NAMES[name]}{unit}", *numbers))
    head = ("score", "lowest 5 %", "median", "highest 5 %", "most")
    listed = report.table(head, rows, "How the scores are spread over the images", numbers=(1, 2, 3, 4))
    lead = f"{title(found.sampler.made)}: {told_of(found.sampler.made)}"
    if found.learned_from is not None and found.ready.fitted is not None:
        some = found.learned_from
        split = f", split {some.split}" if some.split else ""
        lead += (
            f" It was fitted on {counted(len(some), 'image')} of {some.path}{split}; OUT/fitted holds what it learned."
        )
        if found.shared:
            text = (
                f"{found.shared} of the images asked about were fitted on as well: it is surer of them than of others."
            )
            listed = report.notice(text) + listed
    if found.ready.members:
        listed += report.details(
            f"The {len(found.ready.members)} models asked", report.plain_list(list(found.ready.members))
        )
    return Section("scores", "What was measured", lead, listed + report.definitions(MEANINGS))


def _images(found: Found) -> Section:
    answers = found.answers
    labels = answers.pictures.labels
    head = ["image", "predicted", "mean", "variance", "voted", "mean class var.", "entropy", "expected", "mutual inf."]
    head += ["variation", *(["label"] if labels is not None else [])]
    rows = []
    for place in answers.order[:LISTED].tolist():
        predicted, voted = int(answers.predicted[place]), int(answers.voted[place])
        names = [found.classes[index].partition(",")[0] for index in (predicted, voted)]
        values = {name: f"{float(score[place]):.3g}" for name, score in answers.scores.items()}
        row: list[object] = [answers.pictures.files[place], names[0], percent(float(answers.mean[place, predicted]))]
        row += [values["predicted_variance"], "the same" if predicted == voted else names[1]]
        row += [values[name] for name in ("mean_class_variance", "entropy", "expected_entropy", "mutual_information")]
        row.append(values["variation_ratio"])
        if labels is not None:
            label = int(labels[place])
            row.append("right" if label == predicted else f"wrong: {found.classes[label].partition(',')[0]}")
        rows.append(row)
    table = report.table(head, rows, "Every image; images.csv has more", numbers=(2, 3, 5, 6, 7, 8, 9))
    lead = "The most uncertain first." if len(rows) == len(answers) else f"The first {len(rows)}; images.csv has all."
    return Section("images", "Image by image", lead, report.details(f"{counted(len(rows), 'image')}", table))
