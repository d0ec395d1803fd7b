"""What a network responds to: activations, filters, best patches, and the picture a unit or a class asks for.

OUT gets pictures to look at, the numbers behind them (.npy, .json), and manifest.json, which says how all of it was
made. More of each: pellucid visualize KIND --help. For example:

  pellucid visualize filters MODEL -o filters
  pellucid visualize activations MODEL cat.jpg --layers 'features.*' -o seen
  pellucid visualize patches MODEL photos/ --layer features.8 --units 0,3,5 -o patches
  pellucid visualize neuron MODEL --layer features.8 --unit 3 -o neuron
  pellucid visualize class MODEL --target 'ostrich,flamingo' --frames 10 -o classes
  pellucid visualize class MODEL --target goldfish --sweep lr=1,5,10 --sweep penalty=1e-5,1e-3,1e-2 -o sweep
"""

import sys
from argparse import SUPPRESS, Namespace
from typing import TYPE_CHECKING, Any

from ._shared import add_options, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.methods import Method

KINDS = {
    "activations": "Maps of chosen layers for each picture: every channel in a grid, their mean over the picture.",
    "filters": "The weights of the convolution that reads the image, as small pictures.",
    "patches": "The places in a set of pictures that each unit of a layer answers to most.",
    "neuron": "The picture that a unit, a channel or a layer answers to most, by gradient ascent.",
    "class": "The picture that the network would call most of all a class, by gradient ascent.",
}
OWN = ("start", "unit", "frames")
"""Options that have a flag of their own here."""


def arguments(parser: "ArgumentParser") -> None:
    """A command for each kind, with the flags of its function."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(dest="kind", metavar="KIND", help="what to look at")
    for kind, told in KINDS.items():
        one = ArgumentParser(prog=f"pellucid visualize {kind}", description=told, exit_on_error=False)
        one.add_argument("--config", action="config", help="read options from this YAML file")
        model_arguments(one)
        {"activations": _activations, "filters": _filters, "patches": _patches}.get(kind, _climbs)(one, kind)
        one.add_argument("-o", "--out", type=str, required=True, help="folder to make")
        one.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
        kinds.add_subcommand(kind, one, help=told)


def run(args: Namespace) -> int:
    """Write the pictures; say where."""
    from pellucid.files import check_new_folder, new_folder, write_json
    from pellucid.records import record

    from . import _climbed, _visualized

    asked = getattr(args, args.kind)
    check_new_folder(asked.out, force=asked.force, mark="manifest.json", command="visualize")
    method = _method(args.kind)
    writer = _climbed.climbed if args.kind in {"neuron", "class"} else getattr(_visualized, args.kind)
    model = load_model(asked)
    with new_folder(asked.out, force=asked.force, mark="manifest.json", command="visualize") as folder, progress():
        made: _visualized.Made = writer(folder, model, asked, method)
        told = record(
            "visualize",
            options={"kind": args.kind, **made.options},
            model=model.source,
            seed=getattr(asked, "seed", None),
            data=made.data,
        )
        errors = [{"file": e.file, "reason": e.reason} for e in made.errors]
        manifest: dict[str, Any] = {"format": 1, "kind": args.kind, **made.told, "unreadable": errors}
        write_json(folder / "manifest.json", {**manifest, "record": told.json()})
    for error in errors:
        print(f"pellucid: {plain(error['file'])}: {plain(error['reason'])}", file=sys.stderr)
    for line in made.said:
        print(plain(line))
    print(plain(f"{made.count}: {asked.out}"))
    return 1 if errors else 0


def _method(kind: str) -> "Method":
    from pellucid import visualize
    from pellucid.methods import methods

    return methods(visualize)["class_image" if kind == "class" else kind]


def _activations(parser: "ArgumentParser", kind: str) -> None:
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns")
    add_options(parser, _method(kind))
    scale = "of each channel's picture: map (its own range), layer (one range, to compare) or unit ([0, 1])"
    parser.add_argument("--scale", type=str, default="map", help=scale)
    parser.add_argument("--most", type=int, default=256, help="channels shown of each layer; the .npy has all")


def _filters(parser: "ArgumentParser", kind: str) -> None:
    add_options(parser, _method(kind))


def _patches(parser: "ArgumentParser", kind: str) -> None:
    parser.add_argument("images", type=str, nargs="+", help="a data set, or picture files, folders, zips or patterns")
    split = "of a data set: train, val, test, another it names, or all"
    parser.add_argument("--split", type=str, default="all", help=split)
    add_options(parser, _method(kind))
    parser.add_argument("--most", type=int, default=64, help="units that get a sheet; patches.json has all")


def _climbs(parser: "ArgumentParser", kind: str) -> None:
    if kind == "class":
        target = "class name or number, several with commas"
        parser.add_argument("--target", type=str, required=True, help=target)
    else:
        unit = "channel of the layer, several with commas; none for the objective layer"
        parser.add_argument("--unit", type=str, default="", help=unit)
    from pellucid.visualize import PRESETS

    told = "; ".join(f"{name}: {', '.join(f'{k} {v}' for k, v in one.items())}" for name, one in PRESETS.items())
    parser.add_argument("--preset", type=str, default="", help=f"options set at once, but those you give: {told}")
    add_options(parser, _method(kind), skip=OWN, late=[name for one in PRESETS.values() for name in one])
    start = "noise (normal, in network units), uniform (colours), gray (the mean colour), or a picture file"
    parser.add_argument("--start", type=str, default=SUPPRESS, help=f"{start} (default: noise)")
    frames = "keep the picture every so many steps, as one moving picture; 0 keeps none"
    parser.add_argument("--frames", type=int, default=0, help=frames)
    parser.add_argument("--format", type=str, default="gif", help="of the moving picture: gif, or apng (every colour)")
    sweep = "NAME=VALUE,VALUE,...: every value of an option, as one labelled sheet; twice for rows and columns"
    parser.add_argument("--sweep", type=str, action="append", default=[], help=sweep)
    parser.add_argument("--seed", type=int, default=0, help="of the start and the jitter")
