"""How sure a model is of each picture: the spread of its answers, and whether that tells when it is wrong.

IMAGES is a data set (a folder or zip with labels, or digits, built in), of which a seeded sample is asked; or picture
files, folders and patterns without labels, of which nothing is said about right and wrong. A score is higher the less
an answer is to be trusted.

OUT gets index.html to look at, images.csv (a row an image, the most uncertain first), arrays.npz, most-uncertain.png,
summary.json and record.json. Each sampler's own options are --SAMPLER.OPTION. For example:

  pellucid uncertainty MODEL photos/ -o sure
  pellucid uncertainty MODEL photos/ --sampler test_time_augmentation --by entropy -o sure
  pellucid uncertainty RUN photos/ --sampler ensemble --with RUN2,RUN3 -o sure
  pellucid uncertainty RUN photos/ --sampler laplace --on training-photos/ -o sure
  pellucid uncertainty MODEL photos/ --ood drawings/ -o sure
  pellucid uncertainty MODEL photos/ --calibrate temperature --on held-out-photos/ -o sure
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import add_families, add_options, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from ._uncertain_asked import Found
    from ._uncertain_samplers import Sampler


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb, and those of every sampler and calibration."""
    from argparse import RawDescriptionHelpFormatter

    from pellucid.data import OUT_SETS, open_images

    from ._uncertain_answers import SCORES
    from ._uncertain_calibration import KINDS
    from ._uncertain_samplers import SHARED, samplers

    parser.formatter_class = RawDescriptionHelpFormatter
    known = samplers()
    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="a data set, or picture files, folders, zips or patterns")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    parser.add_argument("--sampler", type=str, default="mc_dropout", help=f"one of {', '.join(known)}")
    samples = "answers drawn for each image; the sampler's own number by default (100 of mc_dropout)"
    parser.add_argument("--samples", type=int | None, default=None, help=samples)
    with_ = "other models that an ensemble asks beside MODEL, with commas or spaces; a folder of runs gives all of it"
    parser.add_argument("--with", type=str, nargs="+", default=[], metavar="MODEL", help=with_)
    on = "labelled pictures that what must learn is fitted on: training images, but for --calibrate held-out ones"
    parser.add_argument("--on", type=str, default="", help=on)
    on_split = "split of that set; train of what is fitted, val for --calibrate, where there is one"
    parser.add_argument("--on-split", type=str, default="", help=on_split)
    parser.add_argument("--on-limit", type=int, default=0, help="pictures fitted on, a seeded sample; 0 for all")
    calibrate = f"also write a calibrated model to OUT/calibrated: {', '.join(KINDS)} (which no model can hold)"
    parser.add_argument("--calibrate", type=str, default="", help=calibrate)
    ood = f"also tell the images from others: a folder of these, or {', '.join(OUT_SETS)}, made of the images"
    parser.add_argument("--ood", type=str, default="", help=ood)
    parser.add_argument("--by", type=str, default=SCORES[0], help=f"score that orders the images: {', '.join(SCORES)}")
    parser.add_argument("--limit", type=int, default=500, help="images asked, and of --ood, a seeded sample; 0 for all")
    parser.add_argument("--shown", type=int, default=12, help="most uncertain images drawn, and as many at random")
    parser.add_argument("--keep-samples", action="store_true", help="write all samples (S, N, K) to arrays.npz too")
    memory = "GiB that images, samples and answers may take; what needs more is refused before it is read"
    parser.add_argument("--memory", type=float, default=4.0, help=memory)
    parser.add_argument("--class-map", type=str, default="", help="CSV or JSON: class of the set, of the model")
    add_options(parser, open_images)
    parser.add_argument("--seed", type=int, default=0, help="of the sample and of whatever is drawn")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    add_families(parser, {name: one.made for name, one in known.items()}, lambda _method: SHARED, flag="--sampler")
    add_families(parser, dict(KINDS), lambda _method: (), flag="--calibrate")
    parser.usage = "pellucid uncertainty MODEL IMAGES -o OUT [--sampler SAMPLER] [--samples SAMPLES] [options]"


def run(args: Namespace) -> int:
    """Ask, measure, write; say what came of it."""
    from pellucid.checks import check_choice, check_count, check_range
    from pellucid.files import check_new_folder, new_folder

    from ._uncertain_answers import SCORES
    from ._uncertain_asked import asked
    from ._uncertain_files import written
    from ._uncertain_samplers import sampler_of

    check_new_folder(args.out, force=args.force, command="uncertainty")
    sampler = sampler_of(args.sampler)
    check_choice("by", args.by, SCORES)
    for name in ("limit", "on_limit"):
        check_range(name.replace("_", "-"), getattr(args, name), 0)
    check_range("shown", args.shown, 1, 100)
    check_range("memory", args.memory, 0.0001)
    if args.samples is not None:
        check_count("samples", args.samples, 1)
    _check_suits(args, sampler)
    _check_unchosen(args)
    model = load_model(args)
    with new_folder(args.out, force=args.force, command="uncertainty") as folder, progress():
        found = asked(model, args, sampler)
        written(folder, model, args, found)
    for error in found.answers.pictures.errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    _tell(args, found)
    return 1 if found.answers.pictures.errors else 0


def _check_suits(args: Namespace, sampler: "Sampler") -> None:
    """Refuse options that the sampler has no use for, and a sampler without what it needs."""
    others = getattr(args, "with")
    if sampler.kind == "several" and not others:
        raise ValueError(f"{sampler.name} asks several models: name those beside MODEL with --with RUN,RUN")
    if others and sampler.kind != "several":
        raise ValueError(f"with was given, but {sampler.name} asks MODEL alone: take --sampler ensemble")
    if others and args.weights is not None:
        raise ValueError("weights was given, but the models of an ensemble are loaded each with its own")
    if args.samples is not None and not sampler.draws:
        raise ValueError(f"samples was given, but {sampler.name} asks each of its models once")
    needs = f"{sampler.name} is fitted" if sampler.kind == "fitted" else "calibrate fits" if args.calibrate else ""
    if needs and not args.on:
        which = "the training images" if sampler.kind == "fitted" else "labelled images that were not trained on"
        raise ValueError(f"{needs} on {which}: name them with --on FOLDER")
    if sampler.kind == "fitted" and args.calibrate:
        raise ValueError(
            f"calibrate needs images that the model was not trained on, {sampler.name} those that it was: ask for one, "
            "then for the other"
        )
    if args.on and not needs and not args.ood:
        raise ValueError("on was given, but nothing is fitted: add --calibrate, --ood or a --sampler that learns")
    for name in ("on_split", "on_limit"):
        if getattr(args, name) and not args.on:
            raise ValueError(f"{name.replace('_', '-')} was given without --on")


def _check_unchosen(args: Namespace) -> None:
    """Refuse options of samplers and calibrations that are not asked: they would do nothing."""
    from pellucid.methods import options

    from ._uncertain_calibration import KINDS
    from ._uncertain_samplers import SHARED, samplers

    known: dict[str, Any] = {name: one.made for name, one in samplers().items()} | dict(KINDS)
    for name, method in known.items():
        for option in options(method):
            if option.name in SHARED or name in {args.sampler, args.calibrate}:
                continue
            if getattr(getattr(args, name), option.name) != option.default:
                flag = f"{name}.{option.name.replace('_', '-')}"
                kind = "calibration" if name in KINDS else "sampler"
                told = (args.calibrate or "none") if name in KINDS else args.sampler
                raise ValueError(f"{flag} was given, but the {kind} is {told}")


def _tell(args: Namespace, found: "Found") -> None:
    """The facts worth knowing, and where the page is."""
    from ._uncertain_facts import facts

    for number, fact in enumerate(facts(found), start=1):
        print(f"{number}. {plain(fact.text)}")
    page = Path(args.out) / "index.html"
    print(f"page: {plain(str(page.resolve()))}")
