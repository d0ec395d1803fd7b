"""Model and labelled images in, one page out: how good, where and why it fails, how far to trust it.

IMAGES is a folder or zip: class folders, train/val/test of class folders, labels.csv beside the pictures or an
images.zip, MNIST's idx files. Classes are matched to the model's by wnid, name or number before any work. OUT gets
index.html, predictions.parquet, summary.json and record.json, all of them or nothing.
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import add_options, given, load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

    from pellucid.audit import Audit
    from pellucid.data import ImageSet

SKIP = ("class_map", "second", "ood", "train")


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb, those of the audit read off its signature."""
    from pellucid.audit import audit
    from pellucid.data import open_images

    model_arguments(parser)
    parser.add_argument("images", type=str, help="folder or zip of labelled pictures, or digits (built in)")
    parser.add_argument("-o", "--out", type=str, required=True, help="folder to make")
    parser.add_argument(
        "--class-map", type=str | None, default=None, help="CSV or JSON: class of the set, of the model"
    )
    second = "another MODEL of the same classes, asked whether what breaks the first breaks it too"
    parser.add_argument("--second", type=str | None, default=None, help=second)
    elsewhere = "folder, zip or pattern of pictures from elsewhere, labelled or not: does the model notice?"
    parser.add_argument("--ood", type=str | None, default=None, help=elsewhere)
    learned = "folder or zip of the labelled pictures it learned from: what is each mistake near, what was seen before?"
    parser.add_argument("--train", type=str | None, default=None, help=learned)
    train_split = "split of these; train where there is one"
    parser.add_argument("--train-split", type=str, default="", help=train_split)
    add_options(parser, open_images)
    add_options(parser, audit, skip=SKIP)
    gate = "exit with 1 when top-1 accuracy, in [0, 1], is lower than this"
    parser.add_argument("--fail-under", type=float | None, default=None, help=gate)
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")


def run(args: Namespace) -> int:
    """Audit, write, say the facts."""
    from pellucid import data, models
    from pellucid.audit import audit
    from pellucid.checks import check_range
    from pellucid.files import check_new_folder

    check_new_folder(args.out, force=args.force, command="audit")
    if args.fail_under is not None:
        check_range("fail-under", args.fail_under, 0, 1)
    if args.images == "digits" and not Path("digits").exists():
        images = data.builtin("digits", split=args.split or "test")
    else:
        images = data.open_images(args.images, **given(args, data.open_images))
    class_map = data.read_class_map(args.class_map) if args.class_map else None
    model = load_model(args)
    second = None if args.second is None else models.load(args.second).to(model.mean.device)
    ood = None if args.ood is None else data.gather([args.ood])
    train = None if args.train is None else _learned(args, images)
    asked = given(args, audit, SKIP)
    with progress():
        found = audit(model, images, class_map=class_map, second=second, ood=ood, train=train, **asked)
        found.save(args.out, force=args.force)
    tell(found, Path(args.out))
    if args.fail_under is not None and found.top1.value < args.fail_under:
        print(f"gate: accuracy {found.top1.value:.4f} is under {args.fail_under}")
        return 1
    return 0


def _learned(args: Namespace, images: "ImageSet") -> "ImageSet":
    """The training pictures: the split named, else train where there is one; never those asked about."""
    from pellucid import data

    if args.train == "digits" and not Path("digits").exists():
        found = data.builtin("digits", split=args.train_split or "train")
    else:
        found = data.open_images(args.train, split=args.train_split or None, class_level=args.class_level)
        if not args.train_split and "train" in found.splits:
            found = data.open_images(args.train, split="train", class_level=args.class_level)
    if Path(found.path) == Path(images.path) and found.split == images.split:
        raise ValueError(f"train must be other pictures than those asked about, but both are {found.path}")
    return found


def tell(found: "Audit", folder: Path) -> None:
    """The facts worth knowing, and where the page is."""
    for number, fact in enumerate(found.facts, start=1):
        print(f"{number}. {plain(fact.text)}")
    if found.errors:
        print(f"   {len(found.errors)} files or folders were left out; the page says why.")
    print(f"page: {plain(str((folder / 'index.html').resolve()))}")
