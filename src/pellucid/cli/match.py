"""Match two pictures by their patches: what they share, and the turn, scale and shift that bring one onto the other.

No network and no training: gray patches are told apart by where their gradients point (dense SIFT), and the matches
vote. The second picture is tried turned by every angle and in several sizes, up to some 2.4 times larger or smaller.

OUT gets index.html to look at, matches.png, aligned.png, matches.csv, summary.json and record.json. For example:

  pellucid match old.jpg new.jpg -o same
  pellucid match poster.png street.jpg --side 700 -o found
  pellucid match a.png b.png --turns 1 --zooms 1 --json         as they are, neither turned nor resized
"""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

SIDES = (32, 2000)
"""Longer sides that pictures may be reduced to."""


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    from pellucid.classic import match_views

    from ._shared import add_options

    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("first", type=str, help="a picture file")
    parser.add_argument("second", type=str, help="another picture file")
    parser.add_argument("-o", "--out", type=str, default="", help="folder to make, with the page; none only prints")
    side = f"longer side both pictures are reduced to, in pixels, {SIDES[0]} to {SIDES[1]}; larger finds smaller parts"
    parser.add_argument("--side", type=int, default=400, help=side)
    add_options(parser, match_views)
    parser.add_argument("--lines", type=int, default=80, help="matches drawn as lines, from 1 to 1000")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.usage = "pellucid match FIRST SECOND [-o OUT] [options]"


def run(args: Namespace) -> int:
    """Match, say what was found, write the page."""
    from pellucid.checks import check_count
    from pellucid.files import check_new_folder

    from ._match_page import write_match
    from ._matched import matched, summed

    check_count("side", args.side, *SIDES)
    check_count("lines", args.lines, 1, 1000)
    if args.out:
        check_new_folder(args.out, force=args.force, command="match")
    with progress():
        found = matched(args)
        if args.out:
            write_match(args, found)
    if args.json:
        print(json.dumps(summed(found), indent=1))
        return 0
    for line in found.told:
        print(plain(line))
    if args.out:
        print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    return 0
