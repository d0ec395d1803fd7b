"""Where the model looks in each picture: heat maps as one page, as pictures and as numbers.

OUT gets index.html to look at, for each picture a panel (a row for each target), every map as overlay .png and raw
.npy, and manifest.json, which says how all of it was made. Each method's own options are --METHOD.OPTION.
--dry-run says what it would cost, and writes nothing.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ._shared import add_options, counted, fresh_stem, given, load_model, model_arguments, plain, print_table, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from torch import Tensor

    from pellucid.methods import Method
    from pellucid.models import Model
    from pellucid.records import Record
    from pellucid.report import Box, Map

SKIP = ("layer", "grid")
"""Options that have a flag of their own."""

ON_PAGE = 60
"""Pictures the page shows; the others have their panels."""


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb, and those of every method."""
    from pellucid import explain
    from pellucid.methods import methods

    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    known = ", ".join(methods(explain))
    parser.add_argument("--method", type=str, default="saliency,grad_cam", help=f"one or more, with commas, of {known}")
    target = "class name or number, several with commas, predicted, or each:K for the K most probable"
    parser.add_argument("--target", type=str, default="predicted", help=target)
    layer = "dotted name of the layer for methods that look at one; the deepest with maps by default (see `layers`)"
    parser.add_argument("--layer", type=str | None, default=None, help=layer)
    grid = "sides of that layer's grid of tokens, such as 14x14, where it is not found by itself"
    parser.add_argument("--grid", type=str, default="", help=grid)
    boxes = "draw and write boxes, in what the model sees, around what exceeds this share of a map's maximum (0.2)"
    parser.add_argument("--boxes", type=float | None, default=None, help=boxes)
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.add_argument("--dry-run", action="store_true", help="tell the cost in network evaluations; write nothing")
    for name, method in methods(explain).items():
        add_options(parser, method, prefix=f"{name}.", skip=SKIP)


@dataclass(frozen=True)
class Wanted:
    """What is asked of every picture."""

    target: str
    chosen: dict[str, dict[str, Any]]  # options by method
    layer: str | None
    why: str
    grid: str
    boxes: float | None
    seed: int


def run(args: Namespace) -> int:
    """Write the maps; say where."""
    from pellucid import data, explain
    from pellucid.checks import check_choice, check_range
    from pellucid.files import check_new_folder
    from pellucid.methods import methods

    known = methods(explain)
    names = [name.strip() for name in args.method.split(",") if name.strip()]
    for name in names or [""]:
        check_choice("method", name, known)
    _check_unchosen(args, [name for name in known if name not in names])
    if args.boxes is not None:
        check_range("boxes", args.boxes, 0.001, 0.999)
    if not args.dry_run:
        check_new_folder(args.out, force=args.force, mark="manifest.json", command="explain")
    pictures = data.gather(args.images)
    model = load_model(args)
    chosen = {name: given(getattr(args, name, None), known[name], SKIP) for name in names}
    layer, why = _layer(model, args.layer, [known[name] for name in names])
    wanted = Wanted(args.target, chosen, layer, why, args.grid, args.boxes, args.seed)
    return _cost(model, pictures, wanted) if args.dry_run else _write(args, model, pictures, wanted)


def _check_unchosen(args: Namespace, others: Sequence[str]) -> None:
    """Refuse options of methods that are not asked: they would do nothing."""
    from pellucid import explain
    from pellucid.methods import methods, options

    for name in others:
        for option in options(methods(explain)[name]):
            if option.name not in SKIP and getattr(getattr(args, name), option.name) != option.default:
                flag = f"{name}.{option.name.replace('_', '-')}"
                raise ValueError(f"{flag} was given, but {name} is not among the methods: add it to --method")


def _write(args: Namespace, model: "Model", pictures: Any, wanted: Wanted) -> int:
    from pellucid import data
    from pellucid.files import new_folder, write_json
    from pellucid.progress import steps
    from pellucid.records import record

    images: list[dict[str, Any]] = []
    shown: list[tuple[str, str, list[list[tuple[str, str]]]]] = []
    errors = [{"file": e.file, "reason": e.reason} for e in pictures.errors]
    with new_folder(args.out, force=args.force, mark="manifest.json", command="explain") as folder, progress():
        with steps("explaining", len(pictures)) as done:
            for batch in data.batches(pictures, model.geometry, batch_size=1):
                errors += [{"file": e.file, "reason": e.reason} for e in batch.errors]
                for place, image in zip(batch.indices.tolist(), batch.images(model.mean.device), strict=True):
                    file = pictures.items[place].file
                    maps = _maps(model, image[None], wanted)
                    images.append(_saved(folder, file, image, maps))
                    if len(shown) < ON_PAGE:
                        shown.append(_entry(model, file, image, maps))
                done(1)
        if not images:
            raise ValueError(f"none of the pictures could be read: {errors[0]['file']}: {errors[0]['reason']}")
        options = {"target": wanted.target, "layer": wanted.layer, "grid": wanted.grid, "boxes": wanted.boxes}
        data_ = {"path": pictures.path, "images": len(images)}
        made = record("explain", options={**options, **wanted.chosen}, model=model.source, seed=wanted.seed, data=data_)
        (folder / "index.html").write_text(_page(shown, images, errors, wanted, made), "utf-8", "backslashreplace")
        frame = {
            "size": list(model.geometry.size),
            "resize": model.geometry.resize,
            "told": "heat and boxes are in the pixels of the image the model sees: resized, then cropped at the centre",
        }
        told = {"format": 1, "frame": frame, "images": images, "unreadable": errors, "record": made.json()}
        write_json(folder / "manifest.json", told)
    for error in errors:
        print(f"pellucid: {plain(error['file'])}: {plain(error['reason'])}", file=sys.stderr)
    flat = sum(one["is_flat"] for entry in images for one in entry["maps"])
    if flat:
        print(
            f"pellucid: {counted(flat, 'map')} constant or not finite, which says nothing; see is_flat in the manifest"
        )
    print(f"{len(images)} explained: {plain(args.out)}")
    return 1 if errors else 0


def _cost(model: "Model", pictures: Any, wanted: Wanted) -> int:
    """Rehearse on the first picture that can be read, and tell what it would take for all."""
    from pellucid import data
    from pellucid.models import rehearsal

    readable = (batch for batch in data.batches(pictures, model.geometry, batch_size=1) if len(batch.indices))
    first = next(readable, None)
    if first is None:
        raise ValueError("none of the pictures could be read")
    image = first.images(model.mean.device)
    rows = []
    for name, own in wanted.chosen.items():
        with rehearsal() as cost:
            targets = len(_maps(model, image, wanted, only={name: own}))
        rows.append((name, targets, cost.forward, cost.backward, (cost.forward + cost.backward) * len(pictures)))
    head = (
        "method",
        "targets",
        "forward, a picture",
        "backward, a picture",
        f"in all, {counted(len(pictures), 'picture')}",
    )
    print_table(head, rows, right=(1, 2, 3, 4), title="Images that pass through the network")
    print("nothing was written")
    return 0


def _layer(model: "Model", wanted: str | None, chosen: "Sequence[Method]") -> tuple[str | None, str]:
    """The layer for methods that look at one, and why that one."""
    from pellucid.methods import options
    from pellucid.models import cam_layers

    layers = [option for method in chosen for option in options(method) if option.name == "layer"]
    if not layers:
        if wanted is not None:
            raise ValueError("layer was given, but none of the methods looks at a layer")
        return None, ""
    if wanted is not None:
        return wanted, "chosen with --layer"
    suited = cam_layers(model)
    if not suited:
        raise ValueError(
            "the model has no late layer with maps (N, C, h, w); name one with --layer, or a --method that needs none"
        )
    others = f"; also suited: {', '.join(suited[1:4])}" if suited[1:] else ""
    return suited[0], f"the deepest layer with maps (N, C, h, w){others}"


def _maps(
    model: "Model", image: "Tensor", wanted: Wanted, *, only: dict[str, dict[str, Any]] | None = None
) -> "list[Map]":
    """Every map of one image (1, C, H, W): targets first, then methods."""
    from pellucid import explain
    from pellucid.methods import methods, options, title
    from pellucid.report import Map

    indices = _targets(model, image, wanted.target)
    maps = []
    for name, own in (wanted.chosen if only is None else only).items():
        method = methods(explain)[name]
        looks = any(option.name == "layer" for option in options(method))
        told = {"options": own} | ({"layer": wanted.layer, "why": wanted.why} if looks else {})
        for index, heat in zip(indices, _heats(method, model, image, indices, wanted), strict=True):
            boxes = _boxes(heat, wanted.boxes)
            more = {} if wanted.boxes is None else {"boxes": [list(box) for box in boxes]}
            maps.append(Map(name, title(method), index, model.classes[index], heat, told | more, boxes))
    return sorted(maps, key=lambda one: indices.index(one.target))


def _heats(method: "Method", model: "Model", image: "Tensor", indices: list[int], wanted: Wanted) -> "Tensor":
    """One map for each class, (T, H, W); at the cost of one where the method can."""
    import torch

    from pellucid.methods import taken, takes_many

    def ask(targets: "Tensor") -> "Tensor":
        generator = torch.Generator().manual_seed(wanted.seed)  # the same for every device
        offered = {"layer": wanted.layer, "grid": wanted.grid, "generator": generator}
        heat: Tensor = method(model, image, targets, **wanted.chosen[method.__name__], **taken(method, offered))
        return heat.cpu()

    targets = torch.tensor([indices], device=image.device)  # (1, T)
    return ask(targets)[0] if takes_many(method) else torch.cat([ask(targets[:, t]) for t in range(len(indices))])


def _boxes(heat: "Tensor", threshold: float | None) -> "tuple[Box, ...]":
    """Boxes around what lies above a share of the heat's maximum, the largest part first."""
    from pellucid.metrics import heat_boxes

    if threshold is None or not heat.isfinite().all() or heat.max() <= 0:
        return ()
    found = heat_boxes(heat[None], threshold=threshold, which="all", min_area=max(1, heat.numel() // 400))
    return tuple((box.x0, box.y0, box.x1, box.y1) for box in found)


def _targets(model: "Model", image: "Tensor", wanted: str) -> list[int]:
    """The class indices a --target means for this image."""
    from pellucid import models

    if wanted == "predicted" or wanted.startswith("each:"):
        count = wanted.removeprefix("each:") if wanted != "predicted" else "1"
        if not count.isdecimal() or not 1 <= int(count) <= len(model.classes):
            raise ValueError(f"target each:K needs K in 1..{len(model.classes)}, got {wanted!r}")
        return [int(index) for index in models.predict(model, image, top=int(count)).indices[0]]
    return models.find_classes(model, wanted)


def _saved(folder: Path, file: str, image: "Tensor", maps: "list[Map]") -> dict[str, Any]:
    from pellucid import report

    stem = fresh_stem(folder, PurePath(file).stem)
    entry = report.save_maps(folder, stem, image.cpu(), maps, PurePath(file).name)
    return {"file": file, **entry}


def _entry(
    model: "Model", file: str, image: "Tensor", maps: "list[Map]"
) -> tuple[str, str, list[list[tuple[str, str]]]]:
    """A picture's place in the page."""
    from pellucid import models, report

    said = models.predict(model, image[None], top=1)
    sure = f"{100 * float(said.probabilities[0, 0]):.1f} %"
    heading = f"says “{model.classes[int(said.indices[0, 0])]}”, {sure} sure"
    return heading, PurePath(file).name, report.map_rows(image.cpu(), maps)


def _page(
    shown: Sequence[Any], images: list[dict[str, Any]], errors: list[dict[str, str]], wanted: Wanted, made: "Record"
) -> str:
    from pellucid import explain, report
    from pellucid.methods import methods, summary, title

    known = methods(explain)
    lead = "Warm colours mark evidence for the class named below a map, blue evidence against it."
    if len(images) > len(shown):
        lead += f" The first {len(shown)} of {len(images)} pictures; the others lie beside this page."
    legend = {title(known[name]): summary(known[name]) for name in wanted.chosen}
    legend |= {"The layer looked at": f"{wanted.layer}: {wanted.why}"} if wanted.layer else {}
    sections = [
        report.Section("maps", "Where the model looks", lead, report.gallery(shown)),
        report.Section("methods", "What the maps say", "Each map's own meaning.", report.definitions(legend)),
    ]
    if errors:
        lines = report.plain_list([f"{error['file']}: {error['reason']}" for error in errors])
        sections.append(report.Section("left-out", "Left out", "Pictures that could not be read.", lines))
    name = str(made.model.get("spec") or made.model.get("architecture") or "model").rstrip("/").rpartition("/")[2]
    when = made.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{counted(len(images), 'picture')}, asked of {name} on {when} UTC"
    return report.page(f"Where {name} looks", subtitle, [], sections, made)
