"""What the model sees in each picture, or in each row of a table: class names and probabilities.

IMAGES are picture files, folders, zips, or patterns such as 'holiday/*.jpg' (quoted). Pictures that cannot be read
are told on standard error, and the exit code is then 1. For a model of tables they are .csv files with the columns the
model was trained on, in any order, beside others.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ._predicted_rows import predict_rows
from ._shared import load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns; or .csv files")
    top = "classes told for each picture; 5, or all if fewer; 1 for rows of tables"
    parser.add_argument("--top", type=int | None, default=None, help=top)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures a forward pass")


def run(args: Namespace) -> int:
    """Print the most probable classes of each picture."""
    from pellucid import data, models
    from pellucid.checks import check_range
    from pellucid.progress import steps

    if Path(args.model).is_dir() and models.is_table_model(args.model):
        return predict_rows(args)
    pictures = data.gather(args.images)
    model = load_model(args)
    top = min(5, len(model.classes)) if args.top is None else args.top
    check_range("top", top, 1, len(model.classes))
    found: list[tuple[str, models.Prediction, int]] = []
    errors = list(pictures.errors)
    with progress(), steps("predicting", len(pictures)) as done:
        for batch in data.batches(pictures, model.geometry, batch_size=args.batch_size):
            errors += batch.errors
            if len(batch.indices):
                answer = models.predict(model, batch.images(model.mean.device), top=top)
                names = [pictures.items[place].file for place in batch.indices.tolist()]
                found += [(name, answer, row) for row, name in enumerate(names)]
            done(len(batch.indices) + len(batch.errors))
    entries = [_entry(name, answer, row, model) for name, answer, row in found]
    if args.json:
        left_out = [{"file": error.file, "reason": error.reason} for error in errors]
        print(json.dumps({"format": 1, "images": entries, "unreadable": left_out}, indent=1))
    else:
        _print(entries)
    if any(answer.are_probabilities for _, answer, _ in found):
        told = "it ends in a softmax, and probabilities here are softmax of softmax; give the network without it"
        print(f"pellucid: the network's outputs already sum to 1: {told}", file=sys.stderr)
    for error in errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    return 1 if errors else 0


def _entry(name: str, answer: "object", row: int, model: "object") -> dict[str, object]:
    from pellucid.models import Model, Prediction

    assert isinstance(answer, Prediction)
    assert isinstance(model, Model)
    columns = (answer.indices[row], answer.probabilities[row], answer.logits[row])
    return {
        "file": name,
        "predictions": [
            {"class": model.classes[int(index)], "index": int(index), "probability": float(p), "logit": float(z)}
            for index, p, z in zip(*columns, strict=True)
        ],
    }


def _print(entries: list[dict[str, object]]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for entry in entries:
        console.print(plain(str(entry["file"])), style="bold")
        for one in entry["predictions"]:  # type: ignore[attr-defined]
            console.print(f"  {100 * one['probability']:6.2f} %  {plain(one['class'])}")
