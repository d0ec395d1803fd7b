"""The page of one `pellucid words`, and its files."""

import csv
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image

from pellucid import report
from pellucid.classic import WordChoice
from pellucid.files import write_json
from pellucid.records import Record, record
from pellucid.report import Section

from ._shared import counted
from ._words_found import WordsFound, facts, summed

ROWS = 30
"""Words on one sheet."""

CURVES = {
    "elbow": ("sum of squared distances", "the number furthest below the straight line from end to end, on even axes"),
    "silhouette": ("mean silhouette", "the largest; 1 where clusters lie far apart, 0 where they touch"),
    "gap": ("gap, nats", "the smallest whose gap is at least the next one's less its error"),
}
"""What each criterion measures, and which number it chooses."""


def write_words(folder: Path, args: Namespace, found: WordsFound) -> None:
    """Every file of OUT."""
    names = ("words", "side", "patch", "stride", "shown", "maps", "choose")
    made = record(
        "words",
        options={name: getattr(args, name) for name in names},
        model={"hash": found.bag.hash},
        seed=args.seed,
        data={"path": found.pictures.path, "images": len(found.rows)},
    )
    sections = [_words(folder, found), *_maps(folder, args, found), *_choice(found)]
    if found.errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in found.errors])
        sections.append(Section("left-out", "Left out", "Files that could not be read.", lines))
    _write_pictures(folder / "pictures.csv", found)
    found.bag.save(folder / "words")
    write_json(folder / "summary.json", summed(found))
    write_json(folder / "record.json", made.json())
    (folder / "index.html").write_text(_page(found, made, sections), "utf-8", "backslashreplace")


def _page(found: WordsFound, made: Record, sections: list[Section]) -> str:
    when = made.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"Learned from {counted(len(found.rows), 'picture')} of {found.pictures.path}, on {when} UTC"
    return report.page("Visual words", subtitle, facts(found), sections, made)


def _words(folder: Path, found: WordsFound) -> Section:
    """Words from the most to the least frequent, each with its nearest patches."""
    patches, shares = found.patches, found.shares
    names = [f"word {word}: {100 * float(shares[word]):.1f} %" for word in patches.words]
    body = Markup("")
    for start in range(0, len(names), ROWS):
        rows = slice(start, start + ROWS)
        path = folder / ("words.png" if not start else f"words-{start // ROWS + 1}.png")
        report.word_sheet(patches.patches[rows], names[rows], path, distances=patches.distances[rows])
        body += _shown(path, "Words with their share of all patches, and the nearest patches with their distance")
    lead = (
        f"{len(names)} of {shares.numel() - 1:,} words from the most to the least frequent, each with the patches "
        "nearest to it, of a picture at most one. Alike in a row: the word means one thing; a mixture: more words "
        "would part it. Distances are Euclidean, between descriptors of length 1."
    )
    return Section("words", "The words", lead, body)


def _maps(folder: Path, args: Namespace, found: WordsFound) -> list[Section]:
    """Where the words of some pictures lie."""
    if not args.maps:
        return []
    body = Markup("")
    chosen = torch.linspace(0, len(found.rows) - 1, min(args.maps, len(found.rows))).round().long().tolist()
    for number, row in enumerate(chosen, start=1):
        image, path = found.image(row), folder / f"map-{number}.png"
        file = found.pictures.items[int(found.places[row])].file
        report.word_map_sheet(
            image,
            found.bag.word_map(image[None])[0],
            path,
            count=found.rows.shape[1],
            patch=args.patch,
            stride=args.stride,
            title=file,
        )
        body += _shown(path, f"The most frequent words of {file}")
    lead = "Pictures from beginning to end of the set, each with its most frequent words outlined in their colours."
    return [Section("maps", "Where they lie", lead, body)]


def _choice(found: WordsFound) -> list[Section]:
    """Curves over numbers of words."""
    if not found.choices:
        return []
    drawn = [(_curve(key, choice), f"{CURVES[key][0]}: {CURVES[key][1]}") for key, choice in found.choices.items()]
    lead = (
        "A sample of patches clustered into several numbers of words. The criteria seldom agree, for patches of "
        "photographs lie in no clear clusters: where pictures are to be told apart, try numbers and look at that."
    )
    return [Section("choice", "How many words", lead, report.drawings(drawn))]


def _curve(key: str, choice: WordChoice) -> Markup:
    unit = CURVES[key][0]
    place = int((choice.counts == choice.best).nonzero()[0, 0])
    return report.lines(
        {unit: (choice.counts.double(), choice.values)},
        f"{unit} over numbers of words",
        x="words",
        y=unit,
        log="x",
        dots={f"{choice.best}": (float(choice.best), float(choice.values[place]))},
        width=3.2,
        height=2.4,
    )


def _write_pictures(path: Path, found: WordsFound) -> None:
    """A row a picture: the share of its patches that each word has."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", *(f"word_{number}" for number in range(found.rows.shape[1] - 1)), "null"])
        for place, row in zip(found.places.tolist(), found.rows.tolist(), strict=True):
            table.writerow([found.pictures.items[place].file, *(round(share, 6) for share in row)])


def _shown(path: Path, told: str) -> Markup:
    """A drawn PNG as a picture of the page."""
    with Image.open(path) as picture:
        uri = report.data_uri(np.asarray(picture.convert("RGB")))
    return report.drawings([(Markup('<img src="{}" alt="{}">').format(uri, told), told)])
