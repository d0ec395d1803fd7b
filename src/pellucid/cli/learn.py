"""Learn how a small exact thing works: the numbers step by step here, figures and all of it in a page.

Without a name, lists the lessons. For example:

  pellucid learn
  pellucid learn convolution --stride 2 -o convolution
  pellucid learn perceptron --help
"""

from argparse import Namespace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import add_options, given, plain, print_table, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """A command for each lesson, with the options of its function."""
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser

    from pellucid.foundations import lessons
    from pellucid.methods import methods, summary

    parser.formatter_class = RawDescriptionHelpFormatter
    kinds = parser.add_subcommands(required=False, dest="lesson", metavar="LESSON", help="what to learn")
    for name, lesson in methods(lessons).items():
        one = ArgumentParser(prog=f"pellucid learn {name}", description=summary(lesson), exit_on_error=False)
        one.add_argument("--config", action="config", help="read options from this YAML file")
        add_options(one, lesson, tells_default=True)
        if "generator" in signature(lesson).parameters:
            one.add_argument("--seed", type=int, default=0, help="of whatever is random")
        one.add_argument(
            "-o", "--out", type=str | None, default=None, help="folder to make, with the page; none: only print"
        )
        one.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
        kinds.add_subcommand(name, one, help=summary(lesson))


def run(args: Namespace) -> int:
    """Print the worked steps; write the page where one is wanted."""
    import torch

    from pellucid.checks import check_range
    from pellucid.files import check_new_folder, new_folder, write_json
    from pellucid.foundations import lessons
    from pellucid.methods import methods, summary, taken
    from pellucid.records import record

    known = methods(lessons)
    if args.lesson is None:
        print_table(("lesson", "what it shows"), [(name, summary(lesson)) for name, lesson in known.items()])
        print("One of them: pellucid learn LESSON [-o OUT]; its options: pellucid learn LESSON --help")
        return 0
    asked, lesson = getattr(args, args.lesson), known[args.lesson]
    if asked.out is not None:
        check_new_folder(asked.out, force=asked.force, command="learn")
    chosen = given(asked, lesson)
    seed = getattr(asked, "seed", None)
    check_range("seed", seed or 0, 0, 2**32 - 1)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with progress():
        found = lesson(**chosen, **taken(lesson, {"generator": generator}))
    print(found.text())
    if asked.out is None:
        return 0
    told = record("learn", options={"lesson": args.lesson, **chosen}, seed=seed, model={})
    with new_folder(asked.out, force=asked.force, command="learn") as place:
        (place / "index.html").write_text(found.page(told), encoding="utf-8")
        write_json(place / "record.json", told.json())
    print(f"\npage: {plain(str((Path(asked.out) / 'index.html').resolve()))}")
    return 0
