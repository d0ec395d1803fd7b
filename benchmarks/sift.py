"""How fast dense SIFT is, against OpenCV's SIFT.compute on the same grid in the same process, and how far they agree.

    python benchmarks/sift.py [--side 256] [--images 8] [--patch 16] [--stride 8] [--repeats 15] [--threads 1 2]
        [--clock wall]

Both sides are asked in turn (ours, OpenCV's, ours, ...) for the descriptors of the same patches of scikit-image's
photographs, gray; printed are the medians per image and the median of the ratios of neighbours (above 1: we are
faster), with their quartiles. "hard" is our default, "linear" shares gradients among directions and cells, as OpenCV
does; "one at a time" gives us each image alone, as OpenCV takes them. Both may use as many threads as --threads says;
OpenCV's share one image, ours take an image each. OpenCV's own Gaussian blur is left out by
sigma 0.5, and kept as it comes by 1.6. On a busy machine wall time says little: --clock cpu counts processor time.

What stays different, and is told by the cosine: OpenCV's gradients are plain differences, ours Sobel's; its patches
are centred on a pixel, ours between four; it rounds to 8 bits; and it has no floor (only patches above ours count).
Exits 1 when the median cosine with "linear" is not above 0.95.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from pellucid.classic import dense_sift, grid

PHOTOGRAPHS = ("camera", "astronaut", "coffee", "chelsea", "rocket", "brick", "grass", "gravel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="that both may use; each in turn")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, of all threads")
    args = parser.parse_args()
    shots = [photograph(PHOTOGRAPHS[number % len(PHOTOGRAPHS)], args.side) for number in range(args.images)]
    images = torch.from_numpy(np.stack(shots))[:, None].float() / 255  # (N, 1, H, W)
    points = keypoints(args.side, args.patch, args.stride)
    print(
        f"{args.images} images of {args.side} x {args.side}, {len(points)} patches of {args.patch} x {args.patch} each"
    )
    for share in ("hard", "linear"):
        describe = partial(dense_sift, patch=args.patch, stride=args.stride, orientation=share, cells=share)
        cosine = agreement(describe(images, sigma=args.patch / 2), shots, points)
        print(f"{share}: median cosine {cosine:.4f}")
        for threads, sigma in product(args.threads, (0.5, 1.6)):
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
            sift: Any = cv2.SIFT_create(sigma=sigma)  # type: ignore[attr-defined]
            theirs = partial(each, partial(with_keypoints, sift, points), shots)
            for way, given in (("together", [images]), ("one at a time", list(torch.split(images, 1)))):
                row = paired(partial(each, describe, given), theirs, args.repeats, args.clock)
                print(f"  {threads} threads, {way:13} against sigma {sigma}: {row}", flush=True)
    if not cosine > 0.95:
        sys.exit(f"the descriptors disagree: median cosine {cosine:.4f}")


def photograph(name: str, side: int) -> "np.ndarray":
    """The middle square of a photograph, gray, (side, side), uint8."""
    image = torch.from_numpy(np.atleast_3d(getattr(data, name)())[..., :3].astype(np.float32)).mean(dim=2)
    short = min(image.shape)
    top, left = ((size - short) // 2 for size in image.shape)
    part = image[None, None, top : top + short, left : left + short]
    small = F.interpolate(part, (side, side), mode="bilinear", antialias=True, align_corners=False)
    array: np.ndarray = small[0, 0].round().clamp(0, 255).byte().numpy()
    return array


def keypoints(side: int, patch: int, stride: int) -> list["cv2.KeyPoint"]:
    """The same patches as keypoints: not turned, of a size that makes OpenCV's cells (1.5 sizes) as wide as ours."""
    corners = grid(side, side, patch=patch, stride=stride).tolist()
    return [cv2.KeyPoint(left + patch / 2, top + patch / 2, patch / 6, 0.0, 0.0, 0) for top, left in corners]


def agreement(ours: Tensor, shots: Sequence["np.ndarray"], points: Sequence["cv2.KeyPoint"]) -> float:
    """Median cosine over all patches that are not zeros; OpenCV's blur is left out."""
    sift: Any = cv2.SIFT_create(sigma=0.5)  # type: ignore[attr-defined]
    found = np.stack([sift.compute(shot, points)[1] for shot in shots]).reshape(*ours.shape[:2], 16, 8)
    theirs = torch.from_numpy(np.roll(found[..., ::-1], 1, axis=-1).copy()).flatten(2)  # it turns the other way
    return float(F.cosine_similarity(ours, theirs, dim=2)[ours.any(dim=2)].median())


def paired(ours: Callable[[], list[Any]], theirs: Callable[[], list[Any]], repeats: int, clock: str) -> str:
    """Medians an image, and the median of the ratios of neighbours."""
    ours()
    images = len(theirs())  # both are warm now
    pairs = [(timed(ours, clock) / images, timed(theirs, clock) / images) for _ in range(repeats)]
    ratios = sorted(their / our for our, their in pairs)
    our, their = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
    return (
        f"{our:6.2f} ms, OpenCV {their:6.2f} ms an image, ratio {statistics.median(ratios):5.2f}"
        f" ({ratios[len(ratios) // 4]:.2f} to {ratios[-1 - len(ratios) // 4]:.2f})"
    )


def each(work: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
    return [work(one) for one in given]


def with_keypoints(sift: Any, points: Sequence["cv2.KeyPoint"], shot: "np.ndarray") -> Any:
    return sift.compute(shot, points)


def timed(work: Callable[[], list[Any]], clock: str) -> float:
    read = time.perf_counter if clock == "wall" else time.process_time
    start = read()
    work()
    return read() - start


if __name__ == "__main__":
    main()
