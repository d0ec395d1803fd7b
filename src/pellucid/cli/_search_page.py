"""The page of one `pellucid search`: each picture asked about, and those found for it."""

import math
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pellucid import report
from pellucid.data import ImageSet, Unreadable
from pellucid.features import Found, ImageIndex
from pellucid.files import new_folder, write_json
from pellucid.records import record
from pellucid.report import Fact, Picture, Section

from ._index_page import Thumbnails
from ._reading import opened
from ._shared import counted

if TYPE_CHECKING:
    from torch import Tensor

UNITS = {"mse": "mean squared difference", "cosine": "1 less the cosine", "l1": "sum of absolute differences"}


def entries(index: ImageIndex, pictures: ImageSet, found: Found) -> list[dict[str, Any]]:
    """What was found for each picture, as plain JSON."""
    store = index.store
    files, targets, classes = store.files, store.targets.tolist(), store.classes
    told = []
    for number, place in enumerate(found.asked.tolist()):
        rows = zip(found.rows[number].tolist(), found.distances[number].tolist(), strict=True)
        listed = [
            {"file": files[row], "label": classes[targets[row]] if targets[row] >= 0 else "", "distance": distance}
            for row, distance in rows
            if row >= 0
        ]
        itself, is_same = int(found.itself[number]), bool(found.same_file[number])
        told.append(
            {
                "file": pictures.items[place].file,
                "place": place,
                "itself": files[itself] if itself >= 0 else "",
                "same_file": is_same,
                "label": classes[targets[itself]] if is_same and targets[itself] >= 0 else "",
                "found": listed,
            }
        )
    return told


def write_page(
    args: Namespace,
    index: ImageIndex,
    pictures: ImageSet,
    told: Sequence[dict[str, Any]],
    errors: Sequence[Unreadable],
) -> None:
    """OUT: index.html, found.json and record.json."""
    indexed = _pictures_of(index)
    made = record(
        "search",
        options={"k": args.k, "exclude_self": args.exclude_self, **index.options},
        model=index.store.about,
        data={"path": pictures.path, "images": len(told), "index": str(index.folder)},
    )
    shown = [_entry(one, pictures, indexed) for one in told]
    unit = UNITS[index.options["distance"]]
    lead = f"Below each picture its distance in the features of layer {index.column.layer}: {unit}, 0 for the same."
    if any(one["label"] for one in told):
        lead += " A green edge: of the same class as the picture asked about."
    sections = [Section("found", "Found", lead, report.retrieved(shown))]
    if errors:
        lines = report.plain_list([f"{error.file}: {error.reason}" for error in errors])
        sections.append(Section("left-out", "Left out", "Files that could not be read.", lines))
    subtitle = (
        f"The {args.k} nearest of {counted(len(index), 'picture')} in {index.folder}, for "
        f"{counted(len(told), 'picture')}"
    )
    text = report.page("Pictures like these", subtitle, _facts(told), sections, made)
    with new_folder(args.out, force=args.force, command="search") as folder:
        write_json(folder / "found.json", {"format": 1, "images": list(told)})
        write_json(folder / "record.json", made.json())
        (folder / "index.html").write_text(text, "utf-8", "backslashreplace")


def _facts(told: Sequence[dict[str, Any]]) -> list[Fact]:
    known = [one for one in told if one["same_file"]]
    labelled = [one for one in known if one["label"]]
    facts = []
    if known:
        text = f"{len(known):,} of the {counted(len(told), 'picture')} asked about are in the index themselves."
        facts.append(Fact("known already", f"{len(known):,} of {len(told):,}", text))
    others = [
        other["label"] == one["label"] for one in labelled for other in one["found"] if other["file"] != one["itself"]
    ]
    if others:
        share = 100 * sum(others) / len(others)
        facts.append(Fact("like finds like", f"{share:.0f} %", f"{share:.1f} % of what was found is of its class."))
    return facts


def _entry(one: dict[str, Any], pictures: ImageSet, indexed: "Thumbnails | None") -> tuple[Picture, list[Picture]]:
    asked = pictures.read(one["place"]).float() / 255
    known = f"in the index as {one['itself']}" if one["same_file"] else "not in the index"
    if one["itself"] and not one["same_file"]:
        known = f"another file, but to the network the same as {one['itself']}"
    found = []
    for other in one["found"]:
        image = indexed.read(other["file"]) if indexed else None
        label = f"{other['label']} · " if other["label"] else ""
        is_alike = bool(one["label"]) and other["label"] == one["label"]
        found.append(Picture(_drawn(image), _short(other["file"]), f"{label}{_number(other['distance'])}", is_alike))
    return Picture(report.thumbnail(asked, side=256), _short(one["file"]), known), found


def _pictures_of(index: ImageIndex) -> "Thumbnails | None":
    """The pictures that were indexed, where they still lie there."""
    try:
        return Thumbnails(opened([index.source["images"]], index.source["split"] or None, 1))
    except ValueError:  # the set was moved: the page tells names, and that the pictures are not to be read
        return None


def _drawn(image: "Tensor | None") -> str:
    return "" if image is None else report.thumbnail(image)


def _short(file: str) -> str:
    """The last two names of a path."""
    return "/".join(file.split("/")[-2:])


def _number(distance: float) -> str:
    return "0" if distance == 0 else f"{distance:.3g}" if math.isfinite(distance) else "-"
