"""What it learned from: mistakes beside the training pictures they lie near, pictures on both sides, and the map."""

from typing import Any

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import report
from pellucid.audit.findings import Findings
from pellucid.audit.learned import Learned, Mistaken, Near
from pellucid.audit.words import counted, ends, percent, within
from pellucid.features import MapScores
from pellucid.report import Fact, PointPicture, Section


def sections(found: Findings) -> list[Section]:
    """Neighbours of mistakes, twins, and the map."""
    one = found.learned
    return [] if one is None else [_mistaken(found, one), _twins(found, one), *_map(found, one)]


def facts(found: Findings) -> tuple[Fact, ...]:
    """How many pictures it has seen before."""
    one = found.learned
    if one is None:
        return ()
    value = f"{len(one.rows)} of {len(found.predictions):,}" if one.is_listed else "not known"
    return (Fact("Seen in training", value, _seen(found, one)),)


def numbers(found: Findings) -> dict[str, Any]:
    """Neighbours and twins by file, and how far classes stand apart."""
    one = found.learned
    if one is None:
        return {"learned": None}
    files = found.predictions.files
    neighbours = [
        {"file": files[each.row], "taken_for": _told(found, each.taken_for), "own": _told(found, each.own)}
        for each in one.mistaken
    ]
    twins = [{"file": files[each.row], "near": _told(found, each.near)} for each in one.twins]
    apart = one.map.scores if one.map is not None else None
    told = {
        "path": one.path,
        "images": one.images,
        "layer": one.layer,
        "threshold": one.threshold,
        "pairs": one.pairs,
        "seen": len(one.rows),
        "accuracy_without": None if one.without is None else ends(one.without),
        "nearest_twins": twins,
        "neighbours_of_mistakes": neighbours,
        "nearest_of_own_class": None if apart is None else apart.agreement_before,
        "silhouette": None if apart is None else apart.silhouette_before,
    }
    return {"learned": told}


def _told(found: Findings, near: Near | None) -> dict[str, Any] | None:
    if near is None:
        return None
    return {"file": near.file, "class": found.classes[near.label], "distance": near.distance}


def _mistaken(found: Findings, one: Learned) -> Section:
    lead = (
        f"The most confident mistakes, each beside the nearest of {counted(one.images)} of {one.path}: of the class it "
        f"is taken for, and of its own (features of layer {one.layer}, cosine distance). Look for wrong labels and "
        "for training pictures that mislead."
    )
    body = (
        report.gallery([_entry(found, each) for each in one.mistaken])
        if one.mistaken
        else report.notice("No mistake was to be shown.")
    )
    return Section("mistaken", "What its mistakes are mistaken for", lead, body)


def _entry(found: Findings, each: Mistaken) -> tuple[str, str, list[list[tuple[str, str]]]]:
    rows = found.predictions
    predicted, target = (found.classes[int(some[each.row])] for some in (rows.predicted, rows.targets))
    shown = [(report.thumbnail(each.image), "the image")]
    for near in (each.taken_for, each.own):
        if near is not None:
            name = near.file.rpartition("/")[2]
            shown.append((report.thumbnail(near.image), f"“{found.classes[near.label]}”, {near.distance:.3f}: {name}"))
    return f"says “{predicted}”; labelled “{target}”", rows.files[each.row], [shown]


def _twins(found: Findings, one: Learned) -> Section:
    body = report.notice(_seen(found, one))
    for note in one.notes:
        body += report.notice(note)
    entries = []
    for each in one.twins:
        file, near = found.predictions.files[each.row], each.near
        label = found.classes[int(found.predictions.targets[each.row])]
        heading = f"{near.distance:.4f} away, “{label}”"
        heading += f" and “{found.classes[near.label]}”" if found.classes[near.label] != label else ""
        shown = [(report.thumbnail(each.image), f"asked: {file}")]
        shown.append((report.thumbnail(near.image), f"learned from: {near.file}"))
        entries.append((heading, file, [shown]))
    lead = (
        f"Pairs whose features at layer {one.layer} lie within a cosine distance of {one.threshold:.2g} and which "
        "agree as pictures, nearest first"
        + (f", {len(one.twins)} of {one.pairs:,}" if one.pairs > len(one.twins) else "")
        + ". Being right about a picture it learned from says nothing of new ones."
    )
    return Section("seen", "Seen in training", lead, body + (report.gallery(entries) if entries else Markup("")))


def _map(found: Findings, one: Learned) -> list[Section]:
    if one.map is None:
        return []
    rows, points = found.predictions, one.map.projection
    named, targets = _named(found, one)
    pictures = []
    for point, image in one.pictures.items():
        row = int(points.rows[point])
        says = "" if bool(rows.correct[row]) else f"taken for “{found.classes[int(rows.predicted[row])]}”; "
        pictures.append(PointPicture(point, image, f"{says}{rows.files[row].rpartition('/')[2]}"))
    told = f"{counted(len(points.points))} by their features at {one.layer}"
    body = report.point_map(points.points, targets, named, told, pictures=pictures)
    return [Section("map", "The map of its features", map_lead(one.map.scores, points.how, len(pictures)), body)]


def _named(found: Findings, one: Learned) -> tuple[list[str], Tensor]:
    """The classes that have a point, and the points' places among them."""
    assert one.map is not None
    present, places = torch.unique(one.map.targets, return_inverse=True)
    return [found.classes[index] for index in present.tolist()], places


def map_lead(scores: MapScores | None, how: str, pictures: int) -> str:
    """What is to be seen on a map."""
    lead = "Each point is an image, near those with like features (t-SNE); how far groups lie apart has no meaning."
    if how != "tsne":
        lead = "Each point is an image, drawn along the two directions in which the features vary most (PCA)."
    if pictures:
        lead += " Point at, tap or tab to a point to see its picture."
    if scores is not None:
        lead += (
            f" The nearest other image is of the same class for {percent(scores.agreement_before)} of them by the "
            f"features themselves, {percent(scores.agreement)} in the plane."
        )
    return lead


def _seen(found: Findings, one: Learned) -> str:
    count = len(found.predictions)
    if not one.is_listed:
        return f"Whether images were seen in training could not be told from {counted(one.images)} of {one.path}."
    if not one.pairs:
        return f"None of {counted(count)} is nearly the same as one of {counted(one.images)} of {one.path}."
    text = (
        f"{counted(len(one.rows))} of {count:,} {'is' if len(one.rows) == 1 else 'are'} nearly the same as one of "
        f"{counted(one.images)} of {one.path}"
    )
    if one.without is None:
        return f"{text}: there is no other to judge it by."
    return f"{text}; it is right in {percent(one.without.value)} ({within(one.without)}) of the others."
