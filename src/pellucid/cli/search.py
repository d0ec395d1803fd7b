"""Pictures like others: the nearest in an index that `pellucid index` made, by what its network makes of them.

IMAGES are picture files, folders, zips or patterns. The network is the one the index was made with, loaded again; an
index is refused to any other. What is found is printed, and shown on the page OUT/index.html. For example:

  pellucid search photos.index cat.jpg -o found
  pellucid search photos.index 'new/*.jpg' -k 5 --json
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import load_model, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.features import ImageIndex
    from pellucid.models import Model


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("index", type=str, help="folder that pellucid index made")
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns")
    parser.add_argument("-k", "--k", type=int, default=10, help="pictures found for each, from 1")
    parser.add_argument("-o", "--out", type=str, default="", help="folder to make, with the page; none only prints")
    without = "leave the picture itself out, where it is in the index; else it comes first, at distance 0"
    parser.add_argument("--exclude-self", action="store_true", help=without)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a list")
    model = "MODEL, where it lies elsewhere now than when the pictures were indexed"
    parser.add_argument("--model", type=str, default="", help=model)
    parser.add_argument("--weights", type=str | None, default=None, help="a .safetensors, .pt or .pth file for MODEL")
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, mps or auto")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.usage = "pellucid search INDEX IMAGES [-k K] [-o OUT] [options]"


def run(args: Namespace) -> int:
    """Search, print what is found, write the page."""
    from pellucid import data
    from pellucid.features import ImageIndex
    from pellucid.files import check_new_folder

    from ._search_page import entries, write_page

    if args.out:
        check_new_folder(args.out, force=args.force, command="search")
    index = ImageIndex(args.index)
    if not len(index):
        raise ValueError(f"{args.index}: holds no index; make one with pellucid index MODEL IMAGES -o {args.index}")
    pictures = data.gather(args.images)
    model = _model(args, index)
    with progress():
        found = index.search(model, pictures, k=args.k, exclude_self=args.exclude_self)
        told = entries(index, pictures, found)
        errors = (*pictures.errors, *found.errors)
        if args.out:
            write_page(args, index, pictures, told, errors)
    if args.json:
        left_out = [{"file": error.file, "reason": error.reason} for error in errors]
        print(json.dumps({"format": 1, "images": told, "unreadable": left_out}, indent=1))
    else:
        _print(told)
    for error in errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    if args.out and not args.json:
        print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    return 1 if errors else 0


def _model(args: Namespace, index: "ImageIndex") -> "Model":
    """The network the index was made with, as it was named then; code is run only when it is named now."""
    kept = index.source.get("model") or {}
    spec, weights = args.model, args.weights
    if not args.model:
        spec, weights = str(kept.get("spec", "")), args.weights or kept.get("weights")
    if not args.model:
        is_code = ":" in spec and spec.partition(":")[0] not in {"torchvision", "timm", "zoo"}
        if not spec or (is_code and not Path(spec).exists()):
            raise ValueError(f"{args.index}: was made with {spec or 'a model without a name'}; name it with --model")
    try:
        return load_model(Namespace(model=spec, weights=weights, device=args.device))
    except ValueError as error:
        remedy = "" if args.model else f" ({args.index} was made with it; where it lies elsewhere now, say --model)"
        raise ValueError(f"{error}{remedy}") from error


def _print(told: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for entry in told:
        console.print(plain(str(entry["file"])), style="bold")
        for one in entry["found"]:
            label = f"  ({one['label']})" if one["label"] else ""
            console.print(f"  {one['distance']:10.4g}  {plain(one['file'] + label)}")
