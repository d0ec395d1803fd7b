"""How many matches of two unrelated pictures agree by chance, which says how many make two pictures the same.

    python benchmarks/matching.py $PELLUCID_DATA/imagenet-sample [--pairs 400] [--views 0] [--side 256] [--seed 0]

Pairs are drawn; each is matched as it is (`classic.match_images`), then as many of them as --views says turned and
resized (`classic.match_views`, seconds a pair). Printed is how often how many matches agreed on one turn, scale and
shift, at sizes that `pellucid match` believes, and the most of all. Exits 1 when it would call a pair the same.
"""

import argparse
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch.nn.functional as F
from torch import Tensor

from pellucid.classic import MatchedImages, match_images, match_views
from pellucid.cli._matched import is_told, verdict_of
from pellucid.data import ImageSet, open_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--views", type=int, default=0)
    parser.add_argument("--side", type=int, default=256, help="the longer one, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    images = open_images(args.data)
    source = random.Random(args.seed)
    pairs = [source.sample(range(len(images)), 2) for _ in range(args.pairs)]
    alike = agreed("as they are", match_images, images, pairs, args.side)
    if args.views:
        alike += agreed("turned and resized", match_views, images, pairs[: args.views], args.side)
    if alike:
        sys.exit(f"{alike} unrelated pairs would be called the same")


def agreed(
    name: str, match: Callable[[Tensor, Tensor], MatchedImages], images: ImageSet, pairs: list[list[int]], side: int
) -> int:
    """Print how many matches agreed; how many pairs would be called the same."""
    counts, alike = Counter[int](), 0
    for pair in pairs:
        found = match(*(read(images, place, side) for place in pair))
        way = found.alignment
        counts[0 if way is None or not is_told(way) else int(way.agreed.sum())] += 1
        alike += verdict_of(way, len(found.first)) == "same"
    told = ", ".join(f"{times} of {count}" for count, times in sorted(counts.items()))
    print(f"{name}, {len(pairs)} pairs: at most {max(counts)} agree; pairs by how many: {told}", flush=True)
    return alike


def read(images: ImageSet, place: int, side: int) -> Tensor:
    """(1, 3, H, W), in [0, 1], no longer than side."""
    image = images.read(place)[None].float() / 255
    factor = side / max(image.shape[-2:])
    if factor >= 1:
        return image
    small = [max(16, round(factor * length)) for length in image.shape[-2:]]
    return F.interpolate(image, small, mode="bilinear", antialias=True).clamp(0, 1)


if __name__ == "__main__":
    main()
