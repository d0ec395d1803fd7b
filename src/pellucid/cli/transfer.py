"""What a network has learned, put to use on other pictures: a probe on its features, layer by layer.

TRAIN is a folder or zip of labelled pictures, or digits (built in). TEST is another; without it TRAIN's own test split
is judged on, or a part that is held out. Features are computed once, kept in OUT-features (or --store), and cost
nothing the second time. All that is chosen is chosen by cross-validation of training pictures; test pictures are asked
once.

OUT gets index.html to look at, layers.csv (a row a layer and probe), predictions.csv (of the best), summary.json,
record.json, probe, the best one, and model, a MODEL for every other verb: the network up to the probed layer, and the
probe. For example:

  pellucid transfer MODEL photos/ -o reuse
  pellucid transfer MODEL photos/ --layers features.11,features.18 --probe svm,knn,mlp -o reuse
  pellucid transfer MODEL photos/ other-photos/ --repeats 5 -o reuse
  pellucid predict reuse/model more-photos/
  pellucid transfer MODEL photos/ --classic -o reuse              beside it what can be told without any network
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import load_model, model_arguments, plain, print_table, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from ._transfer_found import Found


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    from pellucid.features.normaliser import HOWS
    from pellucid.features.probes import COSTS

    from ._transfer_trials import NAMES
    from ._transfer_words import MOST, USUAL

    parser.formatter_class = RawDescriptionHelpFormatter
    model_arguments(parser)
    parser.add_argument(
        "train", type=str, help="folder or zip of labelled pictures to learn from, or digits (built in)"
    )
    parser.add_argument("test", type=str | None, nargs="?", default=None, help="the same, to judge on")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    layers = "layers, with commas; auto: the deepest of each resolution and what the last layer reads"
    parser.add_argument("--layers", type=str, default="auto", help=layers)
    parser.add_argument("--probe", type=str, default="svm", help=f"with commas, of {', '.join(NAMES)}")
    parser.add_argument("--normalise", type=str, default="l2", help=f"of each row, with commas, of {', '.join(HOWS)}")
    size = "side of the images, in pixels; none takes the model's own"
    parser.add_argument("--size", type=int | None, default=None, help=size)
    pool = "auto, flat, gap, max, class (token) or gridM (M x M cells, averaged)"
    parser.add_argument("--pool", type=str, default="auto", help=pool)
    costs = f"C to try, with commas; larger fits closer (default: {', '.join(f'{cost:g}' for cost in COSTS)})"
    parser.add_argument("--costs", type=str, default="", help=costs)
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation, at least 2")
    repeats = "also draw so many splits of all pictures, as many to learn from as in the split given; 0 to 100"
    parser.add_argument("--repeats", type=int, default=0, help=repeats)
    origins = "also compare with raw pixels and so many untrained networks, by nearest neighbours; 0 for none"
    parser.add_argument("--origins", type=int, default=0, help=origins)
    classic = "also tell the same pictures by visual words of dense SIFT, without any network; for comparison"
    parser.add_argument("--classic", action="store_true", help=classic)
    words = f"how many visual words --classic learns from the training pictures, 2 to {MOST} (default: {USUAL})"
    parser.add_argument("--words", type=int | None, default=None, help=words)
    parser.add_argument("--split", type=str, default="", help="split of TRAIN to learn from; train where there is one")
    told = "split to judge on; of TEST, or of TRAIN: test, val or else a part held out"
    parser.add_argument("--test-split", type=str, default="", help=told)
    held = "share of TRAIN that is held out where there is nothing else to judge on, in (0, 1)"
    parser.add_argument("--held", type=float, default=0.3, help=held)
    levels = "how many folder names make a class: 1 for cat/a.jpg, 2 for Greek/alpha/a.png"
    parser.add_argument("--class-level", type=int, default=1, help=levels)
    near = "cosine distance of near-duplicates; none: a tenth of the nearest one's usual distance, at most 0.04"
    parser.add_argument("--near", type=float | None, default=None, help=near)
    parser.add_argument("--store", type=str, default="", help="folder that keeps the features (default: OUT-features)")
    parser.add_argument(
        "--shown", type=int, default=12, help="mistakes shown, each with the training picture it is near"
    )
    map_ = "how the test pictures' features are drawn as points: tsne, pca or none"
    parser.add_argument("--map", type=str, default="tsne", help=map_)
    parser.add_argument("--seed", type=int, default=0, help="of folds, held-out parts, drawn splits and first weights")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.usage = "pellucid transfer MODEL TRAIN [TEST] -o OUT [--layers LAYERS] [--probe PROBES] [options]"


def run(args: Namespace) -> int:
    """Features, probes, a table; the page and the best probe."""
    from pellucid.checks import check_choice, check_count, check_range
    from pellucid.files import check_new_folder, new_folder
    from pellucid.models import framed

    from ._transfer_files import written
    from ._transfer_found import found_of
    from ._transfer_sets import opened
    from ._transfer_trials import check_asked
    from ._transfer_words import MOST

    check_new_folder(args.out, force=args.force, command="transfer")
    check_asked(args)
    check_choice("map", args.map, ("tsne", "pca", "none"))
    check_range("shown", args.shown, 0, 100)
    if args.near is not None:
        check_range("near", args.near, 0, 2)
    check_range("origins", args.origins, 0, 20)
    if args.words is not None:
        check_count("words", args.words, 2, MOST)
        if not args.classic:
            raise ValueError("words needs --classic, which learns them; leave --words out or add --classic")
    if not 0 < args.held < 1:
        raise ValueError(f"held must be between 0 and 1, such as 0.3, got {args.held}")
    sets = opened(args)
    model = load_model(args)
    model = model if args.size is None else framed(model, args.size)
    with new_folder(args.out, force=args.force, command="transfer") as folder, progress():
        found = found_of(model, sets, args)
        written(folder, model, args, found)
    for error in found.rows.errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    _tell(args, found)
    return 1 if found.rows.errors else 0


def _tell(args: Namespace, found: "Found") -> None:
    """The table, the facts worth knowing, and where the page is."""
    from ._transfer_facts import HEAD, RIGHT, facts, table_rows

    print_table(HEAD, table_rows(found), right=RIGHT)
    for number, fact in enumerate(facts(found), start=1):
        print(f"{number}. {plain(fact.text)}")
    print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
