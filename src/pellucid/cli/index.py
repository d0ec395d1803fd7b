"""Pictures made findable: what a network makes of each is kept, so that others can be asked for their like.

IMAGES is a folder or zip of pictures, labelled or not, or digits (built in). INDEX is made, or, where it is one
already, brought up to the pictures: only new and changed ones are computed, an interrupted run goes on where it
stopped, and what is not said stays as it was.
INDEX/index.html shows a map of the pictures, and those that are nearly the same. For example:

  pellucid index torchvision:mobilenet_v2 photos/ -o photos.index
  pellucid search photos.index cat.jpg -o found
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import counted, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

MAPS = ("tsne", "pca", "umap", "none")


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    parser.formatter_class = RawDescriptionHelpFormatter
    model_arguments(parser)
    parser.add_argument("images", type=str, help="folder or zip of pictures, or digits (built in)")
    parser.add_argument("-o", "--out", type=str, required=True, help="the index: a folder to make or to bring up")
    layer = "dotted name of the layer that is read; none takes what the last linear layer is given"
    parser.add_argument("--layer", type=str | None, default=None, help=layer)
    pool = "of maps and tokens: auto, flat, gap, max, class or gridM"
    parser.add_argument("--pool", type=str | None, default=None, help=pool)
    kind = "exact, or faster and nearly so: ivf (cells of near rows) or hnsw (a graph); exact by default"
    parser.add_argument("--kind", type=str | None, default=None, help=kind)
    distance = "mse (mean squared difference), cosine or l1; mse by default"
    parser.add_argument("--distance", type=str | None, default=None, help=distance)
    cells = "of ivf; as many as suit the number of pictures by default"
    parser.add_argument("--cells", type=int | None, default=None, help=cells)
    looked = "of ivf: cells that a search looks into; 16 by default"
    parser.add_argument("--probes", type=int | None, default=None, help=looked)
    links = "of hnsw: from each picture to others; 32 by default"
    parser.add_argument("--links", type=int | None, default=None, help=links)
    effort = "of hnsw: pictures kept in view while searching; 128 by default"
    parser.add_argument("--effort", type=int | None, default=None, help=effort)
    split = "of a data set: train, val, test, another it names, or all"
    parser.add_argument("--split", type=str, default="all", help=split)
    level = "how many folder names make a class: 1 for cat/a.jpg, 2 for Greek/alpha/a.png"
    parser.add_argument("--class-level", type=int, default=1, help=level)
    parser.add_argument("--map", type=str, default="tsne", help="of the page: tsne, pca, umap, or none")
    parser.add_argument("--perplexity", type=float, default=30.0, help="of the map tsne: how many neighbours count")
    duplicates = "cosine distance of features up to which two pictures are compared in detail"
    parser.add_argument("--duplicates", type=float, default=0.2, help=duplicates)
    parser.add_argument("--shown", type=int, default=24, help="pairs of pictures drawn, those nearest to each other")
    parser.add_argument("--seed", type=int, default=42, help="of the map, and of pictures drawn by chance")
    parser.usage = "pellucid index MODEL IMAGES -o INDEX [--layer LAYER] [--kind KIND] [options]"


def run(args: Namespace) -> int:
    """Index, write the page, say what there is."""
    from pellucid import data
    from pellucid.checks import check_choice, check_range
    from pellucid.features import ImageIndex

    from ._index_page import write_page

    check_choice("map", args.map, MAPS)
    check_range("shown", args.shown, 0, 200)
    check_range("duplicates", args.duplicates, 0, 2)
    found = ImageIndex(args.out)
    is_built_in = args.images == "digits" and not Path(args.images).exists()
    if is_built_in:
        pictures = data.builtin("digits", split=args.split)
    else:
        pictures = data.open_images(args.images, split=args.split, class_level=args.class_level)
    model = load_model(args)
    with progress():
        filled = found.fill(
            model, pictures, layer=args.layer, pool=args.pool, kind=args.kind, distance=args.distance, cells=args.cells,
            probes=args.probes, links=args.links, effort=args.effort,
        )  # fmt: skip
        told = write_page(found, pictures, filled, args)
    errors = (*pictures.errors, *filled.errors)
    for error in errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    print(f"{counted(len(found), 'picture')}: {filled.computed:,} computed, {filled.kept:,} known, "
          f"{filled.dropped:,} gone; {plain(str(found.column))}, {found.options['kind']}")  # fmt: skip
    for number, fact in enumerate(told, start=1):
        print(f"{number}. {plain(fact.text)}")
    print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    return 1 if errors else 0
