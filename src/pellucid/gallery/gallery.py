"""One page of a model and a few pictures: where it looks, what its layers see, what its classes look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pellucid import explain, report
from pellucid.checks import check_choice, check_eval, check_range
from pellucid.data import ImageSet, batches
from pellucid.files import new_folder, write_json
from pellucid.methods import Method, methods, options, summary, taken, title
from pellucid.models import Model, cam_layers, predict
from pellucid.progress import steps
from pellucid.records import Record, record
from pellucid.report import Map, Section

from ._layout import COLUMNS
from .inside import asked_for, seen_inside
from .questions import questions

MOST = 24
"""Pictures a gallery may hold: every method is asked of each."""


@dataclass(frozen=True)
class Gallery:
    """A page and how it was made."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]  # methods that do not suit the model, pictures that could not be read
    record: Record

    def page(self) -> str:
        """The page as HTML, with everything inline."""
        return report.page(self.title, self.subtitle, [], self.sections, self.record)

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write index.html and record.json; both or nothing.

        Args:
            folder: made, with its parents; must not exist unless force.
            force: replace a gallery written before; nothing else is replaced.
        """
        with new_folder(folder, force=force, command="gallery") as place:
            (place / "index.html").write_text(self.page(), encoding="utf-8", errors="backslashreplace")
            write_json(place / "record.json", self.record.json())
        return Path(folder)


def gallery(
    model: Model, images: ImageSet, *, methods: str = "all", made: int = 4, steps: int = 200, seed: int = 0
) -> Gallery:
    """Show where a model looks in each picture by every method, what its layers see, and what its classes look like.

    Args:
        model: in eval mode.
        images: a few pictures, 1 to 24; labels are not needed.
        methods: of explain, separated by commas; all takes those that suit, and asks more of the first picture.
        made: classes, and units of the deepest layer with maps, whose images are made by gradient ascent, 0 to 16.
        steps: of that ascent, at least 0.
        seed: of whatever is random.

    Raises:
        ValueError: no such method, too many pictures, or none that can be read.
    """
    check_eval(model)
    check_range("pictures", len(images), 1, MOST)
    check_range("made", made, 0, 16)
    check_range("steps", steps, 0)
    chosen = _chosen(methods)
    (batch,) = batches(images, model.geometry, batch_size=MOST, workers=0)
    if not len(batch.indices):
        raise ValueError(f"none of the pictures could be read: {batch.errors[0].file}: {batch.errors[0].reason}")
    notes = [f"{error.file}: {error.reason}" for error in batch.errors]
    pixels = batch.images(model.mean.device)
    files = [Path(images.items[place].file).name for place in batch.indices.tolist()]
    ranked = predict(model, pixels, top=min(2, len(model.classes)))
    sections = [_looks(model, pixels, files, chosen, seed=seed, notes=notes)]
    if methods == "all":
        sections += questions(model, pixels[:1], ranked.indices[0], files[0], seed=seed, notes=notes)
    sections += seen_inside(model, pixels[:1], files[0])
    if made:
        classes = list(dict.fromkeys(ranked.indices[:, 0].tolist()))[:made]
        sections += asked_for(model, pixels[:1], classes, count=made, steps=steps, seed=seed)
    if notes:
        sections.append(
            Section("notes", "Left out", "What this model or a file did not allow.", report.plain_list(notes))
        )
    told = record(
        "gallery",
        options={"methods": methods, "made": made, "steps": steps},
        model=model.source,
        seed=seed,
        data={"path": images.path, "images": len(files)},
    )
    name = str(told.model.get("spec") or told.model.get("architecture") or "model").rstrip("/").rpartition("/")[2]
    when = told.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{name}, asked of {', '.join(files)} on {when} UTC"
    return Gallery(f"Inside {name}", subtitle, tuple(sections), tuple(notes), told)


def _chosen(words: str) -> dict[str, Method]:
    known = methods(explain)
    names = list(dict.fromkeys(name.strip() for name in words.split(",") if name.strip()))
    names = list(known) if "all" in names else names
    for name in names or [""]:
        check_choice("method", name, ["all", *known])
    return {name: known[name] for name in sorted(names, key=lambda name: (_kind(known[name]), [*known].index(name)))}


def _kind(method: Method) -> int:
    """Methods of a kind stand in a row: those of the image's gradient, of a layer's maps, and others."""
    names = {option.name for option in options(method)}
    return 0 if "reduce" in names else 1 if "layer" in names else 2


def _looks(
    model: Model, images: Tensor, files: Sequence[str], chosen: dict[str, Method], *, seed: int, notes: list[str]
) -> Section:
    """Every picture under every method, for the class the model says."""
    said = predict(model, images, top=1)
    layer = next(iter(cam_layers(model)), None)
    maps: list[list[Map]] = [[] for _ in files]
    with steps("explaining", len(chosen)) as done:
        for name, method in chosen.items():
            generator = torch.Generator().manual_seed(seed)
            offered = taken(method, {"layer": layer, "generator": generator})
            try:
                heats = method(model, images, said.indices[:, 0], **offered).cpu()
            except ValueError as error:  # the method says why this model does not suit it; the page repeats it
                notes.append(f"{name}: {error}")
            else:
                for place, heat in enumerate(heats):
                    index = int(said.indices[place, 0])
                    maps[place].append(Map(name, title(method), index, model.classes[index], heat))
            done(1)
    entries = []
    for place, file in enumerate(files):
        index, sure = int(said.indices[place, 0]), float(said.probabilities[place, 0])
        heading = f"says “{model.classes[index]}”, {100 * sure:.1f} % sure"
        rows = [
            [(uri, _short(caption)) for uri, caption in row]
            for row in _by_kind(images[place].cpu(), maps[place], chosen)
        ]
        entries.append((heading, file, rows))
    legend = {title(method): summary(method) for name, method in chosen.items() if any(_has(m, name) for m in maps)}
    body = report.gallery(entries, columns=COLUMNS) + report.details(
        "What each map says", report.definitions(legend), is_open=True
    )
    lead = "Warm colours: evidence for the class the model names; blue: against it. Each map has its own scale."
    return Section("looks", "Where it looks", lead, body)


def _short(caption: str) -> str:
    """A caption without the class, which is the same for all; with what follows it in brackets."""
    name, _, rest = caption.partition(" for “")
    bracket = rest.rpartition("” (")[2] if rest.endswith(")") and "” (" in rest else ""
    return f"{name} ({bracket}" if bracket else name


def _has(maps: Sequence[Map], name: str) -> bool:
    return any(one.method == name for one in maps)


def _by_kind(image: Tensor, maps: Sequence[Map], chosen: dict[str, Method]) -> list[list[tuple[str, str]]]:
    """A row for each kind of method; the first opens with the picture."""
    rows: list[list[tuple[str, str]]] = []
    for kind in (0, 1, 2):
        (drawn,) = report.map_rows(image, [one for one in maps if _kind(chosen[one.method]) == kind])
        rows += [drawn if not rows else drawn[1:]] if drawn[1:] else []
    return rows
