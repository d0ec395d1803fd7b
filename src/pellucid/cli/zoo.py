"""Every network that can be trained here: weights, multiply-adds, and accuracy where it was measured.

Part of a name chooses among them; a whole name shows that network layer by layer. Accuracy stands only where one of
our own training runs measured it; a dash says that none did. With -o the table becomes a page with a figure: OUT gets
index.html, zoo.png and record.json.

  pellucid zoo --size 32
  pellucid zoo resnet18
  pellucid zoo -o zoo --time
"""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import counted, plain, print_table, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.models import Survey


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("name", type=str, nargs="?", default="", help="a network, or part of the names to list")
    size = "side of the images; those that do not take it are left out (default: each network's own)"
    parser.add_argument("--size", type=int | None, default=None, help=size)
    classes = "number of outputs (default: 1000, or 10 for images of up to 64 x 64)"
    parser.add_argument("--classes", type=int | None, default=None, help=classes)
    channels = "channels of the images (default: each network's own)"
    parser.add_argument("--channels", type=int | None, default=None, help=channels)
    timed = "time a forward pass of one image of each, on the CPU; takes minutes for all"
    parser.add_argument("--time", action="store_true", help=timed)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads for --time; 0 leaves them as they are")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("-o", "--out", type=str | None, default=None, help="folder to make: a page and a figure")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")


def run(args: Namespace) -> int:
    """Print the table, or one network; write the page."""
    import torch

    from pellucid import models
    from pellucid.checks import check_range
    from pellucid.files import check_new_folder

    if args.out is not None:
        check_new_folder(args.out, force=args.force, command="zoo")
    check_range("threads", args.threads, 0, 1024)
    wished = {"size": args.size, "classes": args.classes, "channels": args.channels}
    if args.out is None and not args.time and args.name in models.networks():
        return _tell_one(args.name, wished, is_json=args.json)
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads or before)
    try:
        with progress():
            found = models.survey(contains=args.name, **wished, is_timed=args.time)
        timed = f"median of 5 forward passes of one image on the CPU, {counted(torch.get_num_threads(), 'thread')}"
    finally:
        torch.set_num_threads(before)
    if args.json:
        left_out = [{"name": name, "reason": reason} for name, reason in found.left_out]
        told = {"format": 1, "networks": [row.json() for row in found.rows], "left_out": left_out}
        print(json.dumps({**told, "time": timed if args.time else None}, indent=1, allow_nan=False))
    else:
        _tell(found, timed if args.time else "")
    if args.out is not None:
        from ._zoo_page import save

        options = {"name": args.name, **wished, "time": args.time}
        save(found, args.out, options=options, timed=timed if args.time else "", force=args.force)
        if not args.json:
            print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    return 0


def _tell_one(name: str, wished: "dict[str, int | None]", *, is_json: bool) -> int:
    """One network layer by layer."""
    from pellucid import models

    from .describe import tell

    described = models.survey_one(name, **wished)
    if is_json:
        print(json.dumps(described.json(), indent=1, allow_nan=False))
    else:
        tell(described)
        spec = ",".join([f"zoo:{name}@none", *(f"{key}={value}" for key, value in wished.items() if value is not None)])
        print(f"as MODEL, untrained    {spec}")
    return 0


def _tell(found: "Survey", timed: str) -> None:
    from pellucid.models import accuracies

    rows = [
        (
            row.name,
            f"{row.channels}x{row.size}x{row.size}",
            f"{row.classes:,}",
            f"{row.weights:,}",
            f"{row.macs:,}",
            *([] if row.milliseconds is None else [f"{row.milliseconds:,.1f}"]),
            "; ".join(f"{100 * one.mean:.2f} % of {one.told}" for one in accuracies(row)) or "-",
        )
        for row in found.rows
    ]
    head = ("network", "image", "classes", "weights", "multiply-adds", *(["ms"] if timed else []), "accuracy")
    print_table(head, rows, right=(2, 3, 4, 5) if timed else (2, 3, 4))
    print(f"networks       {len(rows)}; one multiply-add counts once; weights with auxiliary heads, which only train")
    if timed:
        print(f"ms             {timed}")
    is_measured = any(row.measured for row in found.rows)
    dash = "a dash: not trained by us at this size" if is_measured else "none trained by us yet at these sizes"
    print(f"accuracy       on test images, measured by our own training runs; {dash}")
    if found.left_out:
        first = "; ".join(f"{name}: {reason}" for name, reason in found.left_out[:1])
        print(f"left out       {len(found.left_out)} that do not take this, such as {plain(first)}")
