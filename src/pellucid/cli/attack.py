"""How a model is broken: adversarial images to look at, how many succeed and at what change, and whether to believe it.

IMAGES is a data set (a folder or zip with labels, or digits, built in), of which a seeded sample is attacked; or
picture files, folders and patterns without labels, of which what the model itself calls them is the label. An epsilon
is in image units, where a value runs from 0 to 1: 8/255, or 0.5 for --norm l2.

OUT gets index.html to look at, adversarial/ (the images as 8-bit PNG), before-after.png, outcome.parquet (a row an
image), summary.json and record.json. Each method's own options are --METHOD.OPTION. For example:

  pellucid attack MODEL photos/ -o broken
  pellucid attack MODEL photos/ --method pgd --epsilon 4/255 --pgd.steps 40 -o broken
  pellucid attack MODEL cat.jpg --epsilon 8/255 --targeted ostrich -o ostrich
  pellucid attack MODEL photos/ --sweep 0,0.5/255,1/255,2/255,4/255,8/255 -o curve
  pellucid attack MODEL photos/ --method mi_fgsm --transfer OTHER_MODEL -o carried
"""

import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import add_families, add_options, given, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.methods import Method

    from ._attacked import Asked, Attacked

OWN = ("epsilon", "norm", "targeted")
"""Options that have a flag of their own."""


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb, and those of every attack."""
    from argparse import RawDescriptionHelpFormatter

    from pellucid import attack
    from pellucid.data import open_images
    from pellucid.methods import methods

    parser.formatter_class = RawDescriptionHelpFormatter
    known = methods(attack, taking="trace")
    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="a data set, or picture files, folders, zips or patterns")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    parser.add_argument("--method", type=str, default="pgd", help=f"one of {', '.join(known)}")
    epsilon = "largest change, in image units: a fraction such as 4/255, or a number; the method's own by default"
    parser.add_argument("--epsilon", type=str, default="", help=epsilon)
    norm = "of the change, where the method has several: linf, l2 or l1; the method's own by default"
    parser.add_argument("--norm", type=str, default="", help=norm)
    parser.add_argument("--targeted", type=str, default="", help="class to reach, by name or number; else any other")
    parser.add_argument("--limit", type=int, default=100, help="images attacked, a seeded sample; 0 for all")
    sweep = "several epsilons with commas, ascending: accuracy against epsilon, each image's smallest"
    parser.add_argument("--sweep", type=str, default="", help=sweep)
    transfer = "a second MODEL that is shown the same images: do they break it too?"
    parser.add_argument("--transfer", type=str, default="", help=transfer)
    parser.add_argument("--shown", type=int, default=12, help="images drawn in the page and in before-after.png")
    alarms = "leave out the tests of the attack itself, which ask for about as much again on 16 images"
    parser.add_argument("--no-alarms", action="store_true", help=alarms)
    parser.add_argument("--class-map", type=str, default="", help="CSV or JSON: class of the set, of the model")
    add_options(parser, open_images)
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of whatever is random")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    add_families(parser, known, _skipped)
    parser.usage = "pellucid attack MODEL IMAGES -o OUT [--method METHOD] [--epsilon EPSILON] [options]"


def run(args: Namespace) -> int:
    """Attack, measure, write; say what came of it."""
    from pellucid.checks import check_range
    from pellucid.files import check_new_folder, new_folder

    from ._attack_files import written
    from ._attacked import attacked

    check_new_folder(args.out, force=args.force, command="attack")
    check_range("limit", args.limit, 0)
    check_range("shown", args.shown, 0, 100)
    asked = _asked(args)
    model = load_model(args)
    other = load_model(Namespace(**{**vars(args), "model": args.transfer, "weights": None})) if args.transfer else None
    with new_folder(args.out, force=args.force, command="attack") as folder, progress():
        found = attacked(model, args, asked, other)
        written(folder, model, args, asked, found)
    for error in found.errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    _tell(args, found)
    return 1 if found.errors else 0


def _asked(args: Namespace) -> "Asked":
    """The attack as it is asked for, checked as far as it can be without a model."""
    from pellucid.attack import aims, attack_of, norm_of
    from pellucid.methods import options

    from ._attacked import Asked

    method = attack_of(args.method)
    _check_unchosen(args)
    defaults = {option.name: option.default for option in options(method)}
    if args.norm and "norm" not in defaults:
        raise ValueError(f"norm was given, but {args.method} has one alone, {norm_of(method)}")
    norm = norm_of(method, args.norm)
    epsilon = read_epsilon(args.epsilon, norm) if args.epsilon else defaults["epsilon"]
    aim = aims(method)
    if args.targeted and aim == "leave":
        raise ValueError(f"{args.method} cannot be targeted: it makes images leave their class, whatever they become")
    if not args.targeted and aim == "reach":
        raise ValueError(f"{args.method} makes images reach a class: name it with --targeted CLASS")
    own = given(getattr(args, args.method, Namespace()), method, _skipped(method))
    sweep = tuple(read_epsilon(word, norm) for word in args.sweep.split(",")) if args.sweep else ()
    if any(second <= first for first, second in pairwise(sweep)):
        raise ValueError(f"sweep must be ascending, got {args.sweep}")
    return Asked(method, own, epsilon, norm, args.targeted, sweep)


def read_epsilon(text: str, norm: str) -> float:
    """An epsilon as people write it: 8/255 or 0.03.

    Raises:
        ValueError: it is no number, negative, or for linf above 1.
    """
    from pellucid.attack import check_epsilon

    above, slash, below = (part.strip() for part in text.partition("/"))
    try:
        value = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"epsilon must be a number or a fraction such as 8/255, got {text!r}") from None
    check_epsilon(value, norm)
    return value


def _skipped(method: "Method") -> list[str]:
    """Options with a flag of their own, and those that no word on a command line can give."""
    from pellucid.methods import options

    kinds = (int, float, bool, str)
    typed = (*kinds, *(kind | None for kind in kinds))
    return [option.name for option in options(method) if option.name in OWN or option.annotation not in typed]


def _check_unchosen(args: Namespace) -> None:
    """Refuse options of attacks that are not asked: they would do nothing."""
    from pellucid import attack
    from pellucid.methods import methods, options

    for name, method in methods(attack, taking="trace").items():
        for option in options(method):
            if name == args.method or option.name in _skipped(method):
                continue
            if getattr(getattr(args, name), option.name) != option.default:
                flag = f"{name}.{option.name.replace('_', '-')}"
                raise ValueError(f"{flag} was given, but the method is {args.method}")


def _tell(args: Namespace, found: "Attacked") -> None:
    """The facts worth knowing, what the alarms say, and where the page is."""
    from ._attack_facts import facts, state

    for number, fact in enumerate(facts(found), start=1):
        print(f"{number}. {plain(fact.text)}")
    for alarm in found.alarms:
        word = "ALARM" if alarm.rings else state(alarm)
        print(f"   {word}: {alarm.name}: {plain(alarm.told.removeprefix('Not tested: '))}")
    page: Any = Path(args.out) / "index.html"
    print(f"page: {plain(str(page.resolve()))}")
