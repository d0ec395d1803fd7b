"""What test-time augmentation adds: accuracy with and without it, and an interval of the difference.

    PELLUCID_DATA=... python benchmarks/test_time_augmentation.py RUN...

RUN is a run folder of a CIFAR-10 classifier (the repository's own are rungs of `pellucid train ladder`); its test
images are asked of. "hflip" adds the mirror image, "cifar" random crops and mirror images, as `train --augmentation
cifar` draws them. Every line is one policy on one network: nothing is chosen by it. The interval is of the images;
drawn views are the same for all images, so that what the draw does shows between the lines of several. "disagree" is
the mean share of the views that vote for another class than most of them.
"""

import argparse
import os
from pathlib import Path

import torch
from torch import Tensor

from pellucid.data import in_memory, open_images
from pellucid.metrics import cross_entropy
from pellucid.models import load
from pellucid.uncertainty import aggregate, augmentation_gain, test_time_augmentation, variation_ratio

FIXED = ("none", "hflip", "five_crop", "ten_crop")
POLICIES = ("hflip", "five_crop", "ten_crop", "cifar", "crop=2:mode=reflect,hflip=0.5")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", default="cifar10", help="folder below PELLUCID_DATA")
    parser.add_argument("--policies", nargs="+", default=POLICIES)
    parser.add_argument("--samples", type=int, default=10, help="views of a random policy")
    parser.add_argument("--how", default="arithmetic", help="arithmetic, geometric or vote")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the views of a random policy")
    parser.add_argument("--limit", type=int, help="test images, for a quick look")
    args = parser.parse_args()
    print(
        "| run | policy | draw | views | without, % | with, % | gain, points [95 %] | mended, spoilt | NLL | disagree |"
    )
    print("|---" * 10 + "|")
    for folder in args.runs:
        model = load(folder)
        test = in_memory(open_images(Path(os.environ["PELLUCID_DATA"]) / args.data, split="test"), model.geometry)
        images, targets = test.images(torch.arange(len(test)))[: args.limit], test.targets[: args.limit]
        for policy in args.policies:
            for seed in range(1 if policy in FIXED else args.seeds):
                source = torch.Generator().manual_seed(seed)
                samples = test_time_augmentation(model, images, policy=policy, samples=args.samples, generator=source)
                told = _told(samples, targets, args.how)
                print(f"| {folder.name} | {policy} | {'' if policy in FIXED else seed} | {told} |", flush=True)


def _told(samples: Tensor, targets: Tensor, how: str) -> str:
    gain = augmentation_gain(samples, targets, how=how)
    value, low, high = (100 * each for each in (gain.difference.value, gain.difference.low, gain.difference.high))
    before, after = (_nll(rows, targets) for rows in (samples[0], aggregate(samples, how=how)))
    cells = (
        str(len(samples)),
        f"{100 * gain.plain.value:.2f}",
        f"{100 * gain.augmented.value:.2f}",
        f"{value:+.2f} [{low:+.2f}, {high:+.2f}]",
        f"{gain.mended}, {gain.spoilt}",
        f"{before:.3f} -> {after:.3f}",
        f"{float(variation_ratio(samples).mean()):.3f}",
    )
    return " | ".join(cells)


def _nll(probabilities: Tensor, targets: Tensor) -> float:
    return float(cross_entropy(probabilities.clamp(min=1e-12).log(), targets).mean())


if __name__ == "__main__":
    main()
