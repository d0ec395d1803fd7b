"""Learn visual words from pictures, without any network: what the patches of a folder look like, and where each lies.

A patch is what its gradients point to (dense SIFT); k-means finds the words; flat patches are the null word. IMAGES are
picture files, folders, zips, patterns, or digits (built in); labels are not looked at.

OUT gets index.html to look at, words.png, map-N.png, pictures.csv (how often each word stands in each picture),
summary.json, record.json, and words, which `pellucid.classic.BagOfWords.load` reads. For example:

  pellucid words photos/ -o words
  pellucid words photos/ --words 50 --choose -o words           also how many words there are, by three criteria
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns; or digits")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    parser.add_argument("--words", type=int, default=200, help="how many words are learned, 2 to 5000")
    side = "pictures are brought to so many pixels in height and width, and to gray; from the size of a patch to 1024"
    parser.add_argument("--side", type=int, default=160, help=side)
    parser.add_argument("--patch", type=int, default=16, help="side of a patch, in pixels, a multiple of 4")
    parser.add_argument("--stride", type=int, default=6, help="step from patch to patch, in pixels, at least 1")
    parser.add_argument(
        "--shown", type=int, default=20, help="words shown, from the most to the least frequent, 1 to 60"
    )
    parser.add_argument("--maps", type=int, default=4, help="pictures whose words are outlined, 0 to 20")
    choose = "also try several numbers of words, and say which the elbow, the silhouette and the gap speak for"
    parser.add_argument("--choose", action="store_true", help=choose)
    parser.add_argument("--seed", type=int, default=0, help="of the patches taken and of k-means")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.usage = "pellucid words IMAGES -o OUT [--words N] [--choose] [options]"


def run(args: Namespace) -> int:
    """Learn, show, write."""
    from pellucid.checks import check_count
    from pellucid.files import check_new_folder, new_folder

    from ._words_found import facts, words_found
    from ._words_page import write_words

    check_new_folder(args.out, force=args.force, command="words")
    for name, low, high in (("words", 2, 5000), ("side", 4, 1024), ("shown", 1, 60), ("maps", 0, 20)):
        check_count(name, getattr(args, name), low, high)
    with new_folder(args.out, force=args.force, command="words") as folder, progress():
        found = words_found(args)
        write_words(folder, args, found)
    for number, fact in enumerate(facts(found), start=1):
        print(f"{number}. {plain(fact.text)}")
    print(f"page: {plain(str((Path(args.out) / 'index.html').resolve()))}")
    for error in found.errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    return 1 if found.errors else 0
