"""Where the model looks in each picture: heat maps as pictures and as numbers.

OUT gets, for each picture, a panel to look at (a row for each target), every map as overlay .png and raw .npy, and
manifest.json, which says how all of it was made. Each method's own options are --METHOD.OPTION.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ._shared import add_options, given, load_model, model_arguments, plain, progress, warn_of_softmax

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from torch import Tensor

    from pellucid.methods import Method
    from pellucid.models import Model
    from pellucid.report import Map

SKIP = ("layer",)
"""Options that have a flag of their own."""


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
    layer = "dotted name of the layer for methods that look at one; the deepest with maps by default"
    parser.add_argument("--layer", type=str | None, default=None, help=layer)
    parser.add_argument("--seed", type=int, default=0, help="of whatever is random")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    for name, method in methods(explain).items():
        add_options(parser, method, prefix=f"{name}.", skip=SKIP)


def run(args: Namespace) -> int:
    """Write the maps; say where."""
    from pellucid import data, explain, models
    from pellucid.checks import check_choice
    from pellucid.files import check_new_folder, new_folder, write_json
    from pellucid.methods import methods
    from pellucid.progress import steps
    from pellucid.records import record

    known = methods(explain)
    names = [name.strip() for name in args.method.split(",") if name.strip()]
    for name in names or [""]:
        check_choice("method", name, known)
    check_new_folder(args.out, force=args.force, mark="manifest.json", command="explain")
    pictures = data.gather(args.images)
    model = load_model(args)
    chosen = {name: given(getattr(args, name, None), known[name], SKIP) for name in names}
    layer, why = _layer(model, args.layer, [known[name] for name in names])
    images: list[dict[str, Any]] = []
    errors = [{"file": e.file, "reason": e.reason} for e in pictures.errors]
    with new_folder(args.out, force=args.force, mark="manifest.json", command="explain") as folder, progress():
        with steps("explaining", len(pictures)) as done:
            for batch in data.batches(pictures, model.geometry, batch_size=1):
                errors += [{"file": e.file, "reason": e.reason} for e in batch.errors]
                for place, image in zip(batch.indices.tolist(), batch.images(model.mean.device), strict=True):
                    if not images and models.predict(model, image[None], top=1).are_probabilities:
                        warn_of_softmax()
                    maps = _maps(model, image[None], args.target, chosen, layer=layer, why=why, seed=args.seed)
                    images.append(_saved(folder, pictures.items[place].file, image, maps, len(images)))
                done(1)
        if not images:
            raise ValueError(f"none of the pictures could be read: {errors[0]['file']}: {errors[0]['reason']}")
        options = {"target": args.target, "layer": layer, **chosen}
        data_ = {"path": pictures.path, "images": len(images)}
        made = record("explain", options=options, model=model.source, seed=args.seed, data=data_)
        write_json(
            folder / "manifest.json", {"format": 1, "images": images, "unreadable": errors, "record": made.json()}
        )
    for error in errors:
        print(f"pellucid: {plain(error['file'])}: {plain(error['reason'])}", file=sys.stderr)
    print(f"{len(images)} explained: {plain(args.out)}")
    return 1 if errors else 0


def _layer(model: "Model", wanted: str | None, chosen: "Sequence[Method]") -> tuple[str | None, str]:
    """The layer for methods that look at one, and why that one."""
    from pellucid.methods import options
    from pellucid.models import cam_layers

    if not any(option.name == "layer" for method in chosen for option in options(method)):
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
    model: "Model",
    image: "Tensor",
    target: str,
    chosen: dict[str, dict[str, Any]],
    *,
    layer: str | None,
    why: str,
    seed: int,
) -> "list[Map]":
    """Every map of one image: targets first, then methods."""
    import torch

    from pellucid import explain
    from pellucid.methods import methods, taken
    from pellucid.report import Map

    maps = []
    for index in _targets(model, image, target):
        for name, own in chosen.items():
            method = methods(explain)[name]
            generator = torch.Generator(image.device).manual_seed(seed)
            chosen_for_it = taken(method, {"layer": layer, "generator": generator})
            told: dict[str, Any] = {"options": own}
            if "layer" in chosen_for_it:
                told |= {"layer": layer, "why": why}
            heat = method(model, image, torch.tensor([index], device=image.device), **own, **chosen_for_it)[0]
            maps.append(Map(name, index, model.classes[index], heat.cpu(), told))
    return maps


def _targets(model: "Model", image: "Tensor", wanted: str) -> list[int]:
    """The class indices a --target means for this image."""
    from pellucid import models

    if wanted == "predicted" or wanted.startswith("each:"):
        count = wanted.removeprefix("each:") if wanted != "predicted" else "1"
        if not count.isdecimal() or not 1 <= int(count) <= len(model.classes):
            raise ValueError(f"target each:K needs K in 1..{len(model.classes)}, got {wanted!r}")
        return [int(index) for index in models.predict(model, image, top=int(count)).indices[0]]
    return models.find_classes(model, wanted)


def _saved(folder: Path, file: str, image: "Tensor", maps: "list[Map]", number: int) -> dict[str, Any]:
    from pellucid import report

    letters = "".join(c if c.isalnum() or c in "-_" else "_" for c in PurePath(file).stem)[:60] or "image"
    stems = (letters, *(f"{letters}-{place}" for place in range(number + 1, 2 * number + 3)))
    stem = next(name for name in stems if not (folder / name).exists())  # number pictures have one each
    entry = report.save_maps(folder, stem, image.cpu(), maps, PurePath(file).name)
    return {"file": file, **entry}
