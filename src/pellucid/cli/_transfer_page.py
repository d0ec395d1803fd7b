"""The page of one `pellucid transfer`."""

from typing import TYPE_CHECKING

import torch
from markupsafe import Markup

from pellucid import report
from pellucid.audit.sections.learned import map_lead
from pellucid.audit.words import FULL_MATRIX, percent, spanned
from pellucid.features.probes import OriginScore
from pellucid.metrics import confusion, per_class, proportion, strongest_confusions
from pellucid.records import Record
from pellucid.report import PointPicture, Range, Section

from ._shared import counted
from ._transfer_classic import classic_sections
from ._transfer_facts import HEAD, RIGHT, facts, origin_share, table_rows
from ._transfer_found import Found, Mistake
from ._transfer_origins import NAMES as ORIGINS
from ._transfer_trials import NAMES, Trial, repeated

if TYPE_CHECKING:
    from pellucid.models import Model

PAIRS, DRAWN = 24, 400
"""Near-duplicates shown, and test pictures that come up on the map."""


def transfer_page(found: Found, made: Record, model: "Model") -> str:
    """The whole page."""
    when = made.made.replace("T", " ").removesuffix("+00:00")
    split = f", split {made.data['split']}" if made.data["split"] else ""
    other = made.data["test"]
    told = f"; judged on {counted(found.trials.test, 'picture')} of {other['path']}"
    told += f", split {other['split']}" if other["split"] else ""
    subtitle = (
        f"Learned from {counted(found.trials.train, 'picture')} of {made.data['path']}{split}{told}, on {when} UTC"
    )
    sections = [
        _layers(found),
        *classic_sections(found),
        _confusions(found),
        *_mistakes(found, model),
        *_twins(found, model),
    ]
    sections += [*_map(found, model), *_origins(found), _classes(found)]
    if found.rows.errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in found.rows.errors])
        sections.append(Section("left-out", "Left out", "Files that were not counted, for the reason given.", lines))
    return report.page(f"What {found.name} brings to other pictures", subtitle, facts(found), sections, made)


def _layers(found: Found) -> Section:
    """Which layer, which probe: the figure and the table."""
    best = found.best
    rows = [_range(trial, found, is_best=trial is best) for trial in found.trials.rows]
    told = f"Test accuracy of each layer and probe, with its 95 % interval over {found.trials.test:,} pictures"
    figure = report.ranges(rows, told, x="test pictures told right (%)", width=6.2)
    body = report.drawings([(figure, told + "; the marked one was chosen by cross-validation.")])
    told = "← did best in cross-validation; values: of a row of features"
    told += "; visual words: without any network, for comparison" if found.words else ""
    body += report.table(HEAD, table_rows(found), told, numbers=RIGHT, whole=(0, 1, 4))
    lead = (
        "Each layer's features are one row a picture; a probe learns the classes from the training rows. Its options "
        "are chosen by cross-validation of the training pictures, and so is the best row: choosing by test accuracy "
        "would make it look better than it is. A larger C fits the training rows more closely."
    )
    if best.repeats:
        lead += f" Behind the semicolon: mean ± standard deviation over {len(best.repeats)} drawn splits."
    return Section("layers", "Which layer, which probe", lead, body)


def _range(trial: Trial, found: Found, *, is_best: bool) -> Range:
    hows = {one.normalise for one in found.trials.rows}
    name = f"{trial.layer}, {NAMES[trial.kind]}" + (f", {trial.normalise}" if len(hows) > 1 else "")
    share = trial.accuracy
    return Range(name, 100 * share.value, 100 * share.low, 100 * share.high, is_marked=is_best)


def _confusions(found: Found) -> Section:
    """What the best takes for what."""
    rows, names = found.rows, found.rows.classes
    truth, taken = rows.targets[rows.test], found.best.predicted
    pairs = strongest_confusions(truth, taken, 20)
    listed = report.table(
        ("true class", "taken for", "pictures"),
        [(names[a], names[b], n) for a, b, n in pairs],
        "The strongest confusions",
        numbers=(2,),
    )
    present = sorted({*truth.tolist(), *taken.tolist()})
    if not pairs:
        body = report.notice("No picture is taken for another class.")
    elif len(present) <= FULL_MATRIX:
        places = torch.zeros(len(names), dtype=torch.int64)
        places[present] = torch.arange(len(present))
        matrix = confusion(places[truth], places[taken], len(present)).tolist()
        body = report.grid([names[one] for one in present], matrix, "Test pictures by true class (rows) and told class")
        body += report.details("The same as a list, strongest first", listed)
    else:
        body = listed
    return Section("confusion", "What it takes for what", f"Of the best: {found.best.name}.", body)


def _mistakes(found: Found, model: "Model") -> list[Section]:
    """Each beside the training pictures it lies near."""
    if not found.mistakes:
        return []
    lead = (
        f"{len(found.mistakes)} of {counted(found.wrong, 'mistake')}, the clearest first, each with the nearest "
        "picture learned from of the class it is taken for, and of its own class (cosine distance of the same "
        "features): look for wrong labels, pictures of both classes, and training pictures that mislead."
    )
    body = report.gallery([_mistake(found, one, model) for one in found.mistakes])
    return [Section("mistakes", "Its mistakes, and what they are mistaken for", lead, body)]


def _mistake(found: Found, one: Mistake, model: "Model") -> tuple[str, str, list[list[tuple[str, str]]]]:
    rows, names = found.rows, found.rows.classes
    shown = [
        (_picture(found, one.row, model), "the picture"),
        (_picture(found, one.taken_for, model), f"“{names[one.predicted]}”, {one.taken_distance:.3f} away"),
        (_picture(found, one.own, model), f"“{names[int(rows.targets[one.row])]}”, {one.own_distance:.3f} away"),
    ]
    heading = f"says “{names[one.predicted]}”; labelled “{names[int(rows.targets[one.row])]}”"
    return heading, rows.files[one.row], [shown]


def _twins(found: Found, model: "Model") -> list[Section]:
    """Pairs on both sides."""
    twins, rows = found.twins, found.rows
    if not len(twins.train):
        return []
    entries = []
    for one, other, distance, same in list(
        zip(twins.train.tolist(), twins.test.tolist(), twins.distances.tolist(), twins.same.tolist(), strict=True)
    )[:PAIRS]:
        labels = [rows.classes[int(rows.targets[row])] for row in (one, other)]
        told = "the same file" if same else f"{distance:.4f} away"
        heading = f"{told}, “{labels[0]}”" + (f" and “{labels[1]}”" if labels[0] != labels[1] else "")
        shown = [(_picture(found, one, model), f"learned from: {rows.files[one]}")]
        shown.append((_picture(found, other, model), f"judged on: {rows.files[other]}"))
        entries.append((heading, rows.files[other], [shown]))
    lead = (
        f"Pairs whose features at layer {twins.layer} lie within a cosine distance of {twins.threshold:.2g} and which "
        "agree as pictures, and equal files; the nearest first"
        + (f", {PAIRS} of {len(twins.train):,}" if len(twins.train) > PAIRS else "")
        + (f"; {twins.note}" if twins.note else "")
        + ". What was learned from tells nothing of new pictures."
    )
    without = (
        f"Without the {counted(len(torch.unique(twins.test)), 'test picture')} of these pairs the best is right in "
        f"{spanned(twins.accuracy)}, with them in {spanned(found.best.accuracy)}."
    )
    return [Section("both", "On both sides", lead, report.notice(without) + report.gallery(entries))]


def _map(found: Found, model: "Model") -> list[Section]:
    """Test pictures as points."""
    if found.map is None:
        return []
    rows, points = found.rows, found.map.projection
    present, targets = torch.unique(found.map.targets, return_inverse=True)
    names = [rows.classes[index] for index in present.tolist()]
    drawn = torch.randperm(len(points.rows), generator=torch.Generator().manual_seed(0))[:DRAWN].sort().values
    pictures = []
    for point in drawn.tolist():
        place = int(points.rows[point])
        row, said = int(rows.test[place]), int(found.best.predicted[place])
        says = "" if said == int(rows.targets[row]) else f"taken for “{rows.classes[said]}”; "
        name = rows.files[row].rpartition("/")[2]
        pictures.append(PointPicture(point, rows.image(row, model), f"{says}{name}"))
    told = f"{counted(len(points.points), 'test picture')} by their features at {found.best.layer}"
    body = report.point_map(points.points, targets, names, told, pictures=pictures)
    return [Section("map", "The map of its features", map_lead(found.map.scores, points.how, len(pictures)), body)]


def _origins(found: Found) -> list[Section]:
    """The trained network beside pixels and untrained ones."""
    origins = found.origins
    if origins is None:
        return []
    table = report.table(
        ("features", "dimension", "told right", "draws"),
        [
            (ORIGINS[score.origin], f"{score.dimension:,}", _share(score), len(score.draws))
            for score in sorted(origins.scores, key=lambda score: -score.accuracy)
        ],
        f"{counted(origins.test, 'test picture')}, each told by the nearest of {origins.train:,} training pictures",
        numbers=(1, 2, 3),
    )
    lead = (
        f"The same pictures, rows of length 1, the class of the nearest (Euclid): at {origins.layer} of the trained "
        "network, of the same network before any training, and of the pixels. What the trained network adds is what it "
        "brings along."
    )
    return [Section("origins", "What training brought", lead, table)]


def _share(score: OriginScore) -> str:
    return spanned(score.draws[0]) if len(score.draws) == 1 else f"{origin_share(score)} (over draws)"


def _classes(found: Found) -> Section:
    """How often each class is told."""
    rows = found.rows
    score = per_class(rows.targets[rows.test], found.best.predicted, len(rows.classes))
    told = []
    for place in score.recall.argsort(stable=True).tolist():
        support = int(score.support[place])
        if support:
            share = proportion(round(float(score.recall[place]) * support), support)
            told.append((rows.classes[place], f"{support:,}", spanned(share), percent(float(score.precision[place]))))
    head = ("class", "test pictures", "told right", "right when told")
    table = report.table(head, told, "The worst first, with 95 % intervals", numbers=(1, 2, 3))
    if found.best.repeats:
        table += Markup("<p>Over the drawn splits all classes together: {}.</p>").format(repeated(found.best))
    return Section("classes", "Each class", f"Of the best: {found.best.name}.", table)


def _picture(found: Found, row: int, model: "Model") -> str:
    return report.thumbnail(found.rows.image(row, model), side=176)
