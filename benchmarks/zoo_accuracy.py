"""Accuracies of the zoo's networks, as measured: finished runs become lines of the list that ships with the package.

    PELLUCID_DATA=... python benchmarks/zoo_accuracy.py train [--only lenet5,...] [--seeds 1] -o runs/zoo
    python benchmarks/zoo_accuracy.py gather RUN... [--write]

`train` makes the runs of PLAN below, one after the other (those that are finished are left, half ones gone on with).
`gather` prints what finished runs say, and with --write puts it into src/pellucid/models/zoo/measured.json, where
`pellucid zoo` reads it; a line of the same network, data, recipe, epochs and seed is replaced. Only runs on a whole
training set count: one with a `limit` is refused.
"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pellucid.models.survey import Measured, read_measured
from pellucid.training import Run, resume, start

FILE = Path(__file__).parent.parent / "src" / "pellucid" / "models" / "zoo" / "measured.json"

PLAN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "digits_cnn": ("classify", "digits", {"model": "digits_cnn", "epochs": 20}),
    "lenet5": ("classify", "mnist", {"model": "lenet5", "epochs": 5, "batch_size": 128, "lr": 2e-3}),
    "lenet5_bn": (
        "classify",
        "cifar10",
        {"model": "lenet5_bn", "epochs": 10, "batch_size": 128, "augmentation": "cifar"},
    ),
    "fast_net": ("cifar10_fast", "cifar10", {}),
}
"""Network: recipe, data and options."""


def train(folder: Path, only: list[str], seeds: int) -> None:
    for name, (recipe, data, options) in PLAN.items():
        if only and name not in only:
            continue
        place = os.environ["PELLUCID_DATA"] + "/" + data if data != "digits" else data
        for seed in range(seeds):
            run = folder / f"{name}-{seed}"
            told = resume(run) if (run / "config.yaml").exists() else start(recipe, place, run, seed=seed, **options)
            for line in told:
                print(f"{run.name}: {line.text}", flush=True)


def measured(folder: Path) -> Measured:
    """What a finished run says of its network."""
    run = Run(folder)
    if not run.is_finished:
        raise SystemExit(f"{folder}: has not finished")
    if run.config.get("limit") is not None:
        raise SystemExit(f"{folder}: was trained on a part of the set; only whole sets are listed")
    told = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return Measured(
        name=told["architecture"],
        data=Path(str(run.config["data"])).name,
        size=told["input"]["size"][0],
        accuracy=run.results["test"]["accuracy"],
        recipe=str(run.config["recipe"]),
        epochs=run.results["epochs"],
        seed=int(run.config["seed"]),
    )


def gather(folders: list[Path], *, write: bool) -> None:
    def key(one: Measured) -> tuple[object, ...]:
        return one.name, one.data, one.size, one.recipe, one.epochs, one.seed

    kept = {key(one): one for one in (*read_measured(), *map(measured, folders))}
    listed = [asdict(one) for _, one in sorted(kept.items(), key=lambda pair: str(pair[0]))]
    for line in listed:
        print(line)
    if write:
        FILE.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("train")
    one.add_argument("--only", default="")
    one.add_argument("--seeds", type=int, default=1)
    one.add_argument("-o", "--out", type=Path, required=True)
    other = kinds.add_parser("gather")
    other.add_argument("runs", type=Path, nargs="+")
    other.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.kind == "train":
        train(args.out, [name for name in args.only.split(",") if name], args.seeds)
    else:
        gather(args.runs, write=args.write)


if __name__ == "__main__":
    main()
