"""How fast MC dropout is beside the loop people write.

    python benchmarks/uncertainty.py [pace] [--nets vgg16,mobilenet_v2] [--passes 100] [--timed 4] [--repeats 5]

torchvision's nets with random weights, 8 images of 224 x 224. The loop puts the dropout modules into training mode and
passes all images through the whole net, again and again; every one of its passes is the same work, so that only `timed`
of them are timed and their time is taken `passes / timed` times. Both sides in turn, in one process; printed are the
medians and the median of the ratios of neighbours, loop / ours (above 1: we are faster).

The experiments on what uncertainty is good for are mc_dropout.py, failure.py and out_of_distribution.py.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import torch
import torchvision
from torch import Tensor, nn

from pellucid.uncertainty import mc_dropout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pace",), nargs="?", default="pace")
    parser.add_argument("--nets", default="vgg16,mobilenet_v2")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--timed", type=int, default=4, help="passes of the loop that are timed")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    pace(args.nets.split(","), args.passes, args.timed, args.repeats)


def pace(nets: Sequence[str], passes: int, timed: int, repeats: int) -> None:
    print(
        f"{passes} passes, 8 images of 224 x 224, {torch.get_num_threads()} threads; {timed} passes of the loop timed"
    )
    print(f"{'net':14}{'ours':>9}{'loop':>9}{'loop / ours':>13}   turns", flush=True)
    images = torch.rand(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for name in nets:
        net = getattr(torchvision.models, name)(weights=None).eval()
        mc_dropout(net, images, samples=2), loop(net, images, 1)  # warm
        turns = []
        for _ in range(repeats):
            began = time.perf_counter()
            mc_dropout(net, images, samples=passes)
            ours = time.perf_counter() - began
            began = time.perf_counter()
            loop(net, images, timed)
            turns.append((ours, (time.perf_counter() - began) * passes / timed))
        ratios = [theirs / ours for ours, theirs in turns]
        ours, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
        told = " ".join(f"{ratio:.1f}" for ratio in ratios)
        print(f"{name:14}{ours:8.2f}s{theirs:8.2f}s{statistics.median(ratios):13.1f}   {told}", flush=True)


def loop(net: nn.Module, images: Tensor, passes: int) -> Tensor:
    """What tutorials show: samples (S, N, K)."""
    dropouts = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    for module in dropouts:
        module.train()
    try:
        with torch.no_grad():
            return torch.stack([net(images).softmax(dim=1) for _ in range(passes)])
    finally:
        for module in dropouts:
            module.eval()


if __name__ == "__main__":
    main()
