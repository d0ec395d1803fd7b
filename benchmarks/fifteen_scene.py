"""The 15-Scene photographs by the book: 100 training pictures a class, all others for the test; classic and deep.

    python benchmarks/fifteen_scene.py classic $PELLUCID_DATA/fifteen-scene [--seeds 5] [--bags words fisher]
        [--words 1000] [--encoding llc] [--components 64] [--scales 3] [--stride 6] [--json FILE]

First the set's own split, then as many drawn ones as --seeds says (100 pictures a class, seeds 0, 1, ...). Dense SIFT
at three sizes of patches, from which words, and the Fisher vectors' mixture, are learned of the training pictures of
each split alone; a linear machine on rows of length 1, C = 1, not tuned. "words" are locality-constrained codes of
which the largest count: "single" of the whole picture, "pyramid" of three levels, the finest 4 x 4 parts; "fisher" are
Fisher vectors of the whole picture, and of it and its quarters. Settings were chosen by cross-validation of the own
split's training pictures. Published, with patches of 16 pixels counted for one word each and an intersection kernel, on
the pictures in their first size (here they are squashed to 160 x 160): single 74.8 %, pyramid 81.4 % (Lazebnik, Schmid
and Ponce, CVPR 2006, table 1, 400 words, levels 0 and 2); that recipe is --bags words --words 400 --scales 1 --stride 8
--share hard --encoding hard --pool sum --kernel intersection --cost 10.
Exits 1 when a mean over the drawn splits is below 70 % (words, single) or 78 % (words, pyramid; fisher, pyramid).

    python benchmarks/fifteen_scene.py kernels $PELLUCID_DATA/fifteen-scene [--words 1000] [--side 256]
        [--norm l2] [--multiclass one_vs_one] [--gamma scale] [--seed 0] [--json FILE]

Plain bags of words (patches of 16 pixels every 8, each counted for its nearest word, rows of length 1), and six
kernels at C = 0.001 ... 1000: 70 % of the pictures to learn from, 10 % to choose by, and the choice is judged once by
the other 20 %. For comparison, by validation and with 1,000 words: rbf just above 74 %, linear 73 % and flat from
C = 0.003 on, polynomial 62 % at C about 312, sigmoid at most 14 %; a row of counts is a hundred long and more, and the
C of a linear machine on it means what ten thousand times as much, or more, means here. Judges nothing.

    python benchmarks/fifteen_scene.py deep $PELLUCID_DATA/fifteen-scene $PELLUCID_WEIGHTS/mobilenet_v2
        $PELLUCID_WEIGHTS/squeezenet1_1 --store FOLDER [--seeds 5] [--json FILE]

Features of networks trained on ImageNet at several layers, a linear machine on each, C chosen by 5-fold cross-
validation of the training pictures: a table a split, pictures on both sides of the own split, and means. "raw" and
"l2" are C = 1. For comparison, VGG16 on a split of its own: first fully connected layer 91.2 %, second 89.6 %,
class scores 88.0 % (rows of length 1, C = 1). Exits 1 when the mean of the first model's chosen layers
over the drawn splits is below 86 %.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch

from _fifteen_scene_classic import add_classic, add_kernels, below, classic, kernels
from _fifteen_scene_deep import add_deep, deep
from pellucid.data import ImageSet, open_images
from pellucid.files import write_json
from pellucid.records import record

EACH = 100
"""Training pictures a class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    add_classic(parts.add_parser("classic", help="dense SIFT, words or Fisher vectors, support vector machine"))
    add_kernels(parts.add_parser("kernels", help="dense SIFT, words, kernels by C"))
    add_deep(parts.add_parser("deep", help="a network's features, linear support vector machine"))
    args = parser.parse_args()
    if args.part == "deep":
        by_model = deep(args, split)
        keep(args, by_model)
        rows = next(iter(by_model.values()))
        mean = statistics.mean(row["chosen"] for row in rows[1:] or rows)
        sys.exit(f"below {args.bar}: {mean}" if mean < args.bar else 0)
    if args.part == "kernels":
        keep(args, kernels(args))
        return
    found = classic(args, split)
    keep(args, found)
    sys.exit(below(args, found) or 0)


def keep(args: argparse.Namespace, found: object) -> None:
    if args.json:
        options = {key: value for key, value in vars(args).items() if key != "models" and not isinstance(value, Path)}
        about = record("fifteen_scene", options=options, model={})
        write_json(args.json, {"record": about.json(), "found": found})


def split(path: Path, every: ImageSet, seed: int | None) -> tuple[ImageSet, ImageSet]:
    """Training and test pictures; the set's own for None."""
    if seed is None:
        return open_images(path, split="train"), open_images(path, split="test")
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed))
    chosen = torch.cat([order[every.targets[order] == number][:EACH] for number in range(len(every.classes))])
    is_train = torch.zeros(len(every), dtype=torch.bool)
    is_train[chosen] = True
    return every.subset(is_train.nonzero()[:, 0].tolist()), every.subset((~is_train).nonzero()[:, 0].tolist())


if __name__ == "__main__":
    main()
