"""Everything once, offline: train a small net on handwritten digits, audit it, say where the page is.

Takes scikit-learn's 1,797 digits, a fifth of them held out. OUT gets run/ (the trained model) and report/.
"""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._shared import progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    parser.add_argument("-o", "--out", type=str, default="demo", help="folder to make")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and the order")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")


def run(args: Namespace) -> int:
    """Train, save, audit, tell."""
    from pellucid import data, models, training
    from pellucid.audit import audit
    from pellucid.cli.audit import tell
    from pellucid.files import check_new_folder, new_folder, write_json
    from pellucid.records import record

    check_new_folder(args.out, force=args.force, command="demo")
    options = {"epochs": args.epochs}
    with new_folder(args.out, force=args.force, command="demo") as folder, progress():
        for _ in training.start("classify", "digits", folder / "run", seed=args.seed, device="cpu", **options):
            pass
        model = models.load(folder / "run")
        model.source |= {"spec": f"{args.out}/run", "folder": f"{args.out}/run"}
        made = record("demo", options=options, model=model.source, seed=args.seed, data={"path": "digits"})
        found = audit(model, data.builtin("digits", split="test"), seed=args.seed)
        found.save(folder / "report")
        write_json(folder / "record.json", made.json())
    tell(found, Path(args.out) / "report")
    return 0
