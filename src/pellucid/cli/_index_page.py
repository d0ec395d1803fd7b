"""The page of an index: a map of its pictures, those that are nearly the same, and how good a search in it is."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from markupsafe import Markup
from torch import Tensor

from pellucid import features, report
from pellucid.files import written
from pellucid.records import record
from pellucid.report import Fact, Section

from ._shared import counted

if TYPE_CHECKING:
    from pellucid.data import ImageSet
    from pellucid.features import Filled, ImageIndex, MapScores, Pairs, Projection, Retrieval

K = 10
"""Neighbours that the page's numbers are about."""

NEAREST, MOST = 5, 4000
"""Of near-duplicates: how many of the nearest of each picture are looked at, and how many pairs at most."""

MAPS = {
    "tsne": "t-SNE: who stands beside whom has a meaning; how far groups are apart and how large they are has none.",
    "umap": "UMAP: who stands beside whom has a meaning; how far groups are apart has little.",
    "pca": "The two directions in which the features differ most.",
    "plane": "The features themselves, which have two numbers a picture.",
}


@dataclass(frozen=True)
class Seen:
    """What the page tells of an index."""

    pairs: "Pairs"
    near: int  # pairs near in features; of more than MOST only the nearest were compared in detail
    recall: float | None  # of an approximate search against an exact one
    retrieval: "Retrieval | None"  # where pictures have labels
    projection: "Projection | None"
    scores: "MapScores | None"


def write_page(found: "ImageIndex", pictures: "ImageSet", filled: "Filled", args: Namespace) -> list[Fact]:
    """index.html in the index's folder; what is worth knowing."""
    seen = _seen(found, pictures, args)
    facts = _facts(found, seen)
    names = ("map", "perplexity", "duplicates", "shown")
    made = record(
        "index",
        options={**found.options, **{name: getattr(args, name) for name in names}},
        model=found.store.about,
        seed=args.seed,
        data=found.source,
    )
    sections = [] if seen.projection is None else [_map(found, pictures, seen)]
    sections += [_duplicates(found, pictures, seen, args.shown)]
    errors = (*pictures.errors, *filled.errors)
    if errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in errors])
        sections.append(Section("left-out", "Left out", "Files that could not be read.", lines))
    subtitle = f"{counted(len(found), 'picture')} by layer {found.column.layer} of {found.store.about.get('name')}"
    text = report.page(f"Index of {Path(pictures.path).name}", subtitle, facts, sections, made)
    with written(found.folder / "index.html") as new:
        new.write_text(text, "utf-8", "backslashreplace")
    return facts


def _seen(found: "ImageIndex", pictures: "ImageSet", args: Namespace) -> Seen:
    """Ask the index what the page tells."""
    index, targets = found.index, found.store.targets
    rows, count = index.features_, len(found)
    pairs, near = _pairs(found, pictures, args.duplicates)
    is_approximate = found.options["kind"] != "exact" and count > K
    recall = index.recall(k=K, generator=torch.Generator().manual_seed(args.seed)) if is_approximate else None
    is_labelled = count > K and _has_pair(targets)
    judged = features.retrieval(rows, targets, k=K, distance=found.options["distance"]) if is_labelled else None
    projection = scores = None
    how, perplexity = args.map, args.perplexity
    if how == "tsne" and count <= 3 * perplexity:  # too few for it: as many as there can be
        perplexity = max(1.0, count / 3 - 1)
        how = "pca" if count < 8 else how
    if how != "none" and count >= 3:
        source = torch.Generator().manual_seed(args.seed)
        projection = features.project(rows, how, perplexity=perplexity, generator=source)
        known = targets[projection.rows]
        if 2 <= len(set(known[known >= 0].tolist())) < int((known >= 0).sum()):
            scores = features.map_scores(rows, targets, projection)
    return Seen(pairs, near, recall, judged, projection, scores)


def _pairs(found: "ImageIndex", pictures: "ImageSet", threshold: float) -> tuple["Pairs", int]:
    """Pairs that are near in features, and whose pictures agree; and how many are near."""
    if len(found) < 2:
        nothing = torch.zeros(0, dtype=torch.int64)
        return features.Pairs(nothing, nothing, torch.zeros(0, dtype=torch.float64), threshold), 0
    rows, nearest = found.index.features_, min(NEAREST, len(found) - 1)
    near = features.near_duplicates(rows, threshold=threshold, nearest=nearest)
    count = len(near)
    near = features.Pairs(near.first[:MOST], near.second[:MOST], near.distances[:MOST], threshold)
    images, files = Thumbnails(pictures), found.store.files

    def read(row: int) -> Tensor:
        image = images.read(files[row])
        return torch.zeros(1, 64, 64) if image is None else image

    return features.confirmed(near, read), count


def _facts(found: "ImageIndex", seen: Seen) -> list[Fact]:
    facts = []
    if seen.retrieval is not None:
        share, chance = float(seen.retrieval.precision.mean()), seen.retrieval.chance
        text = (
            f"Of the {K} nearest of a picture, {100 * share:.1f} % are of its class (by chance {100 * chance:.1f} %"
            f"{_at_most(found, seen.retrieval)}); mean average precision "
            f"{seen.retrieval.mean_average_precision:.3f}, over {counted(len(seen.retrieval.asked), 'picture')} asked."
        )
        facts.append(Fact("like finds like", f"{100 * share:.1f} %", text))
    joined = features.groups(seen.pairs, len(found))
    involved = sum(map(len, joined))
    text = f"{counted(len(seen.pairs), 'pair')} of pictures are nearly the same"
    if joined:
        text += f": {involved:,} pictures in {counted(len(joined), 'group')}"
    facts.append(Fact("nearly the same", counted(len(seen.pairs), "pair"), f"{text}{_of_compared(seen)}."))
    if seen.recall is not None:
        text = f"The search ({found.options['kind']}) finds {100 * seen.recall:.1f} % of the {K} truly nearest."
        facts.append(Fact("what the search finds", f"{100 * seen.recall:.1f} %", text))
    return facts


def _at_most(found: "ImageIndex", judged: "Retrieval") -> str:
    """What classes of fewer than K others allow at most; nothing where there is no such class."""
    labels = found.store.targets[judged.asked]
    others = found.store.targets[found.store.targets >= 0].bincount()[labels] - 1
    best = float(others.clamp(max=K).double().mean()) / K
    return f", at most {100 * best:.1f} %, for some classes have fewer" if best < 1 else ""


def _of_compared(seen: Seen) -> str:
    """That not all pairs were looked at, if so."""
    return f"; of {seen.near:,} pairs near in features the {MOST:,} nearest were compared" if seen.near > MOST else ""


def _map(found: "ImageIndex", pictures: "ImageSet", seen: Seen) -> Section:
    assert seen.projection is not None
    store, projection = found.store, seen.projection
    targets = store.targets[projection.rows]
    places = _spread(len(projection.rows), report.MOST_PICTURES)
    images = Thumbnails(pictures)
    shown = []
    for place in places:
        file = store.files[int(projection.rows[place])]
        image = images.read(file)
        if image is not None:
            shown.append(report.PointPicture(place, report.fitted(image, 1, 72), file))
    body = report.point_map(projection.points, targets, store.classes, "Map of the pictures", pictures=shown)
    if seen.scores is not None:
        one = seen.scores
        rows = [
            ("in the map", f"{one.silhouette:.3f}", f"{100 * one.agreement:.1f} %"),
            ("in the features", f"{one.silhouette_before:.3f}", f"{100 * one.agreement_before:.1f} %"),
        ]
        head = ("", "silhouette, from -1 to 1", "nearest other of its class")
        body += report.table(head, rows, "How well classes stand apart", numbers=(1, 2))
    pointing = "Point at one, tap it, or go through them with the arrow keys."
    if len(places) < len(projection.rows):
        pointing += f" {len(places):,} of the {len(projection.rows):,} points have a picture."
    return Section("map", "Map", f"{MAPS[projection.how]} A point is a picture. {pointing}", body)


def _duplicates(found: "ImageIndex", pictures: "ImageSet", seen: Seen, most: int) -> Section:
    store, pairs = found.store, seen.pairs
    entries = []
    images = Thumbnails(pictures)
    order = list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist(), strict=True))
    for first, second, distance in order[:most]:
        both = [(store.files[row], images.read(store.files[row])) for row in (first, second)]
        strip = [(report.thumbnail(image), file) for file, image in both if image is not None]
        labels = [int(store.targets[row]) for row in (first, second)]
        other = labels[0] != labels[1] and min(labels) >= 0
        named = " and ".join(store.classes[label] for label in dict.fromkeys(labels) if label >= 0)
        is_same = store.hashes[first] == store.hashes[second]
        heading = "the same file" if is_same else f"distance {distance:.2g}"
        if strip:
            entries.append((f"{heading}, two labels" if other else heading, named, [strip]))
    lead = (
        "Pairs that are the same picture but for size, compression or a little cropping: near in features (cosine "
        f"distance up to {pairs.threshold:g}) and alike in detail; the nearest first. Each picture was compared with "
        f"the {NEAREST} nearest at most{_of_compared(seen)}."
    )
    if len(order) > most:
        lead += f" {most:,} of {len(order):,} are drawn."
    if not order:
        return Section("duplicates", "Nearly the same", "No two pictures are.", Markup(""))
    return Section("duplicates", "Nearly the same", lead, report.gallery(entries, columns=2))


class Thumbnails:
    """Pictures of a set by file name; None for one that cannot be read any more."""

    def __init__(self, pictures: "ImageSet") -> None:
        self.pictures = pictures
        self.places = {item.file: place for place, item in enumerate(pictures.items)}

    def read(self, file: str) -> Tensor | None:
        """(C, H, W), float32, in [0, 1]."""
        place = self.places.get(file)
        if place is None:
            return None
        try:
            return self.pictures.read(place).float() / 255
        except ValueError:  # it was there when it was indexed; the caller tells its absence
            return None


def _has_pair(targets: Tensor) -> bool:
    """Whether some class has two pictures."""
    known = targets[targets >= 0]
    return bool(len(known)) and int(known.bincount().max()) > 1


def _spread(count: int, most: int) -> Sequence[int]:
    """At most so many places, evenly over all."""
    step = max(1, -(-count // most))
    return range(0, count, step)
