"""Which score tells images from elsewhere: digits from letters, photographs of objects from scenes.

    PELLUCID_DATA=... python benchmarks/out_of_distribution.py --data mnist|cifar10 [--seeds 3] [--gray] [--out F]

A small classifier with dropout is trained for each seed and kept in --runs. Detectors that need it are fitted on
FITTED of the images that it was trained on; odin_tuned has its epsilon chosen on TUNED test images, which then leave
the test, and sees none from elsewhere.

MNIST's digits meet Omniglot's letters, brought to 28 x 28 as the digits were (bright ink in a box of 20, centred by
mass, strokes of 2 pixels); some look like digits: Latin O, l, Z. CIFAR-10's photographs meet the fifteen scenes, which
are gray; none of them is a class of CIFAR-10, but cars, trucks and ships stand in some of the streets, highways and
coasts. --gray takes the colours of the test photographs away too, so that they tell nothing.

Both sets are balanced. Images from elsewhere are the positives of AUROC and AUPR-out; FPR95 is the share of them that
pass where 95 % of the known images do. Each seed's table has bootstrap intervals, the end Student's over the seeds.

S. Liang et al., "Enhancing The Reliability of Out-of-distribution Image Detection in Neural Networks", ICLR 2018, table
2, DenseNet-BC, CIFAR-10 against TinyImageNet (crop), max probability -> ODIN, in %: FPR95 34.8 -> 4.3, detection error
9.9 -> 4.6, AUROC 95.3 -> 99.1, AUPR-in 96.4 -> 99.2, AUPR-out 93.8 -> 99.1. https://arxiv.org/abs/1706.02690
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
from torch import Tensor

from _elsewhere import gray, letters, scenes
from _seeds import print_means, told, write
from _trained import add_options, classifiers, parts
from pellucid.data import Pixels
from pellucid.models import Model
from pellucid.uncertainty import ood

TUNED, FITTED = 1000, 10_000
COLUMNS = ("auroc", "aupr_in", "aupr_out", "fpr95", "detection_error")
ELSEWHERE: dict[str, Callable[[Path], Tensor]] = {"mnist": letters, "cifar10": scenes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--gray", action="store_true", help="take the colours of the known test images away")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    train, test = parts(args)
    known = gray(test.images()) if args.gray else test.images()
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
    tuning, known = known[order[: min(TUNED, len(known) // 2)]], known[order[min(TUNED, len(known) // 2) :]]
    others = ELSEWHERE[args.data](Path(os.environ["PELLUCID_DATA"]))
    found: list[dict[str, dict[str, float]]] = []
    for _, model in classifiers(args, train, test):
        compared = ood.compare(detectors(model, train, tuning), known, others)
        if not found:
            print_appearance(compared)
        print_table(compared)
        found.append({row.name: {c: getattr(row, c).value for c in COLUMNS} for row in compared.table.rows})
        write(args.out, "out_of_distribution", args, found)
    print_means(found, COLUMNS, compared="auroc")


def detectors(model: Model, train: Pixels, tuning: Tensor) -> dict[str, ood.Detector]:
    """All there are, the tuned one said with what it took."""
    fitted = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:FITTED]
    found = ood.detectors(model, [*ood.PLAIN, *ood.FITTED], train.images(fitted), train.targets[fitted])
    chosen = ood.tune_odin(model, tuning)
    print(f"odin_tuned: temperature {chosen.temperature:g}, epsilon {chosen.epsilon:g}")
    found["odin_tuned"] = partial(ood.odin, model, temperature=chosen.temperature, epsilon=chosen.epsilon)
    return found


def print_appearance(compared: ood.Comparison) -> None:
    for name, one in (("known", compared.appearance_in), ("from elsewhere", compared.appearance_out)):
        mean, std = (" ".join(f"{value:.3f}" for value in values) for values in (one.mean, one.std))
        print(f"{name:15} mean {mean}, std {std}, from {one.low:.2f} to {one.high:.2f}, gray {100 * one.gray:.1f} %")


def print_table(compared: ood.Comparison) -> None:
    print(f"{compared.table.inside} known images, {compared.table.outside} from elsewhere, all in %")
    print(" " * 31 + "".join(f"{column:>24}" for column in COLUMNS))
    for row in compared.table.rows:
        print(f"{row.name:31}" + "".join(f"{told(getattr(row, column)):>24}" for column in COLUMNS), flush=True)


if __name__ == "__main__":
    main()
