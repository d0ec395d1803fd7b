"""Put pictures back together whose four quarters were exchanged, by a network that pellucid train jigsaw taught it.

  pellucid train jigsaw photos/ --model zoo:resnet20@none -o runs/jigsaw
  pellucid solve runs/jigsaw holiday.jpg -o solved              shuffles it first, and shows how it is put back
  pellucid solve runs/jigsaw shuffled.png --shuffle none        takes it as it is

A permutation is told as four digits: at place top left, top right, bottom left, bottom right, which quarter lies there.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import load_model, model_arguments, plain, progress

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from torch import Tensor

MOST = 16
"""Pictures solved at once, and shown."""


def arguments(parser: "ArgumentParser") -> None:
    """Flags of the verb."""
    from argparse import RawDescriptionHelpFormatter

    parser.formatter_class = RawDescriptionHelpFormatter
    model_arguments(parser)
    parser.add_argument("images", type=str, nargs="+", help="picture files, folders, zips or patterns; 16 at most")
    shuffle = "how each is shuffled first: random, none, or a permutation 0 to 23"
    parser.add_argument("--shuffle", type=str, default="random", help=shuffle)
    voting = "ask about all 24 shuffles of each, and take the mean of what each says of it"
    parser.add_argument("--voting", action="store_true", help=voting)
    parser.add_argument("-o", "--out", type=str, default="", help="folder to make, with the pictures; none only prints")
    parser.add_argument("--force", action="store_true", help="replace OUT if pellucid made it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--seed", type=int, default=0, help="of random shuffles")


def run(args: Namespace) -> int:
    """Shuffle, solve, print, draw."""
    import torch

    from pellucid import data
    from pellucid.features import solve_jigsaw
    from pellucid.files import check_new_folder

    if args.out:
        check_new_folder(args.out, force=args.force, command="solve")
    pictures = data.gather(args.images)
    if len(pictures) > MOST:
        raise ValueError(f"images must be at most {MOST} at a time, got {len(pictures)}")
    model = load_model(args)
    with progress():
        (batch,) = data.batches(pictures, model.geometry, batch_size=MOST)
        errors = [*pictures.errors, *batch.errors]
        if not len(batch.indices):
            raise ValueError(f"{errors[0].file}: {errors[0].reason}")
        images = batch.images(model.mean.device)
        truth = _labels(args, len(images))
        shown = images if truth is None else data.jigsaw.shuffle(images, truth.to(images.device))
        with torch.inference_mode():
            solved = solve_jigsaw(model, shown, voting=args.voting)
    names = [pictures.items[place].file for place in batch.indices.tolist()]
    told = [_entry(name, row, solved, truth) for row, name in enumerate(names)]
    if args.out:
        _draw(args, told, [images, shown, solved.images][truth is None :])
    if args.json:
        left_out = [{"file": error.file, "reason": error.reason} for error in errors]
        print(json.dumps({"format": 1, "images": told, "unreadable": left_out}, indent=1))
    else:
        for entry in told:
            print(plain(f"{entry['file']}: {_said(entry)}"))
        if args.out:
            print(f"picture: {plain(str((Path(args.out) / 'solved.png').resolve()))}")
    for error in errors:
        print(f"pellucid: {plain(error.file)}: {plain(error.reason)}", file=sys.stderr)
    return 1 if errors else 0


def _labels(args: Namespace, count: int) -> "Tensor | None":
    """(N,), int64: how each picture is shuffled first; None leaves them as they are."""
    import torch

    from pellucid.data import jigsaw

    if args.shuffle == "none":
        return None
    if args.shuffle == "random":
        return torch.randint(jigsaw.COUNT, (count,), generator=torch.Generator().manual_seed(args.seed))
    if not args.shuffle.isdecimal() or int(args.shuffle) >= jigsaw.COUNT:
        raise ValueError(f"shuffle must be random, none, or a permutation 0 to {jigsaw.COUNT - 1}, got {args.shuffle}")
    return torch.full((count,), int(args.shuffle))


def _entry(name: str, row: int, solved: Any, truth: "Tensor | None") -> dict[str, Any]:
    """What came out for one picture; what was true only where it was shuffled here."""
    from pellucid.data import jigsaw

    label = int(solved.labels[row])
    entry = {
        "file": name,
        "label": label,
        "permutation": jigsaw.permutation(solved.labels[row : row + 1])[0].tolist(),
        "probability": float(solved.probabilities[row, label]),
    }
    if truth is not None:
        found = jigsaw.accuracy(solved.labels[row : row + 1].cpu(), truth[row : row + 1])
        entry |= {"shuffled_by": int(truth[row]), "quarters_right": round(4 * found.quarter)}
    return entry


def _said(entry: dict[str, Any]) -> str:
    words = f"permutation {''.join(map(str, entry['permutation']))} ({entry['label']}), {entry['probability']:.1%}"
    if "quarters_right" not in entry:
        return words
    return f"{words}; {entry['quarters_right']} of 4 quarters right (shuffled by {entry['shuffled_by']})"


def _draw(args: Namespace, told: list[dict[str, Any]], columns: "list[Tensor]") -> None:
    """solved.png, a row a picture, and record.json."""
    from pellucid import report
    from pellucid.files import new_folder, write_json
    from pellucid.records import record

    heads = ["as it is", "shuffled", "put back"] if len(columns) == 3 else ["as it is", "put back"]
    rows = [[report.pixels(column[row]) for column in columns] for row in range(len(told))]
    titles = [[Path(str(entry["file"])).name, *heads[1:-1], f"put back: {_said(entry)}"] for entry in told]
    options = {"shuffle": args.shuffle, "voting": args.voting}
    made = record("solve", options=options, model={"spec": args.model}, seed=args.seed, data={"images": args.images})
    with new_folder(args.out, force=args.force, command="solve") as place:
        report.panel(rows, titles, place / "solved.png", "Jigsaws put back together")
        write_json(place / "solved.json", {"format": 1, "images": told})
        write_json(place / "record.json", made.json())
