"""How fast heat maps are, against captum in the same process on the same nets with random weights.

    python benchmarks/explain_pace.py [--net mobilenet_v2] [--images 2] [--side 224] [--repeats 3] [--only saliency,...]

Both sides are asked in turn (ours, captum's, ours, ...) for the same map, and must agree on it; printed are the
medians and the median of the ratios of neighbours (above 1: we are faster). Captum's own defaults are kept, except
that its batch (internal_batch_size, perturbations_per_eval) is the given one: without it (--batch 0) integrated
gradients and smoothed gradients take all steps in one pass, and occlusion one window a pass.
Exits 1 when the maps of a method disagree, unless the reason is known, which is then printed.
"""

import argparse
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import captum.attr as captum
import torch
import torchvision
from torch import Tensor, nn

from pellucid import explain

STEPS = 10
"""Of integrated gradients, and noisy copies of smoothed gradients."""


def rows(net: nn.Module, images: Tensor, targets: Tensor, batch: int) -> dict[str, tuple[Callable[[], Tensor], ...]]:
    """For each method what we do and what captum does."""
    window, stride = max(1, images.shape[-1] // 4), max(1, images.shape[-1] // 8)

    def leaf() -> Tensor:
        return images.clone().requires_grad_()

    return {
        "saliency": (
            lambda: explain.saliency(net, images, targets),
            lambda: captum.Saliency(net).attribute(leaf(), target=targets).amax(dim=1),
        ),
        "guided_backprop": (
            lambda: explain.guided_backprop(net, images, targets),
            lambda: captum.GuidedBackprop(net).attribute(leaf(), target=targets).abs().amax(dim=1),
        ),
        "integrated_gradients": (
            lambda: explain.integrated_gradients(net, images, targets, steps=STEPS),
            lambda: (
                captum.IntegratedGradients(net)
                .attribute(
                    images, target=targets, n_steps=STEPS, method="riemann_middle", internal_batch_size=batch or None
                )
                .sum(dim=1)
            ),
        ),
        "smooth_grad": (
            lambda: explain.smooth_grad(net, images, targets, samples=STEPS, std=0.0),
            lambda: (
                captum.NoiseTunnel(captum.Saliency(net))
                .attribute(
                    images,
                    nt_samples=STEPS,
                    nt_samples_batch_size=max(1, batch // len(images)) if batch else None,
                    stdevs=0.0,
                    target=targets,
                    abs=False,
                )
                .abs()
                .amax(dim=1)
            ),
        ),
        "occlusion": (
            lambda: explain.occlusion(
                net, images, targets, window=window, stride=stride, fill="black", objective="score"
            ),
            lambda: captum.Occlusion(net).attribute(
                images,
                (images.shape[1], window, window),
                strides=(images.shape[1], stride, stride),
                target=targets,
                perturbations_per_eval=max(1, batch // len(images)),
            )[:, 0],
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="mobilenet_v2")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8, help="captum's batch; 0 leaves it at its own defaults")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.manual_seed(0)
    net = torchvision.models.get_model(args.net, weights=None).eval().to(args.device)
    images = torch.rand(args.images, 3, args.side, args.side).to(args.device)
    targets = net(images).argmax(dim=1)
    wrong: list[str] = []
    print(f"{'':22}{'ours':>9}{'captum':>9}{'ratio':>7}   ratios")
    for name, (ours, theirs) in rows(net, images, targets, args.batch).items():
        if args.only and name not in args.only.split(","):
            continue
        if not agrees(name, net, ours(), theirs()):  # also warms both
            wrong.append(name)
        pairs = [(timed(ours), timed(theirs)) for _ in range(args.repeats)]
        ratios = [their / our for our, their in pairs]
        our, their = (statistics.median(side) for side in zip(*pairs, strict=True))
        told = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name:22}{our:8.2f}s{their:8.2f}s{statistics.median(ratios):7.2f}   {told}", flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB (this process)")
    if wrong:
        sys.exit(f"the maps disagree: {', '.join(wrong)}")


def agrees(name: str, net: nn.Module, ours: Tensor, theirs: Tensor) -> bool:
    """Whether both compute the same, or it is known why not; a difference is printed."""
    far = float((ours - theirs).abs().max() / theirs.abs().max())
    if far <= 1e-3:
        return True
    is_known = name == "guided_backprop" and any(isinstance(module, nn.ReLU6) for module in net.modules())
    reason = " (known: captum's guided backpropagation passes a ReLU6 by)" if is_known else ""
    print(f"{name}: the maps differ by {far:.2g} of the maximum{reason}")
    return is_known


def timed(work: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    work().sum().item()  # waits for a device
    return time.perf_counter() - start


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting .*backward hooks")
        main()
