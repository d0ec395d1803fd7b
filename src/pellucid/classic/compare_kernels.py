"""Which kernel, and which C: accuracy on images held out, one matrix of a kernel serving every C."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice
from pellucid.progress import steps

from ._machine import MULTICLASS, Machine, check_classes
from .bags import Bags
from .kernel import KINDS, Kernel

COSTS = tuple(10.0**power for power in range(-3, 4))


@dataclass(frozen=True)
class KernelComparison:
    """Accuracy of every kernel at every C on the images held out.

    Fields:
        costs: (C,), float64, rising.
        accuracy: kernel -> (C,), float64, in [0, 1].
        kind: the best kernel; of equals the first.
        cost: its best C; of equals the smallest.
    """

    costs: Tensor
    accuracy: dict[str, Tensor]
    kind: str
    cost: float


def compare_kernels(
    train: Bags,
    targets: Tensor,
    held: Bags,
    held_targets: Tensor,
    *,
    kinds: Sequence[str] = ("linear", "rbf", "polynomial", "sigmoid", "intersection", "chi2"),
    costs: Sequence[float] = COSTS,
    multiclass: str = "one_vs_one",
    gamma: float | str = "scale",
) -> KernelComparison:
    """Fit machines of several kernels at several C, and ask each of images held out.

    Args:
        train: bags of the training images.
        targets: (N,), int64.
        held: bags of other images, from the same dictionary; for choosing, not those of the final test.
        held_targets: (M,), int64.
        kinds: of `Kernel`.
        costs: C, each above 0.
        multiclass: one_vs_one (a machine a pair of classes) or one_vs_rest.
        gamma: of the kernels: above 0, scale or auto.

    Raises:
        ValueError: the bags are of two dictionaries, fewer than 2 classes, or an option is none.
    """
    train.check_same(held)
    check_classes(train.rows, targets)
    if held_targets.shape != held.rows.shape[:1]:
        raise ValueError(f"held_targets must be ({len(held.rows)},), one for each, got {tuple(held_targets.shape)}")
    check_choice("multiclass", multiclass, MULTICLASS)
    for kind in kinds:
        check_choice("kinds", kind, KINDS)
    if not kinds or not costs or not all(0 < cost < float("inf") for cost in costs):
        raise ValueError(f"kinds and costs must name one each at least, costs above 0, got {kinds} and {costs}")
    rising = sorted(costs)
    classes, places = torch.unique(targets.cpu(), return_inverse=True)
    accuracy: dict[str, Tensor] = {}
    with steps("kernels", len(kinds) * len(rising)) as done:
        for kind in kinds:
            kernel = Kernel(kind, gamma=gamma).fit(train.rows)
            own, other = (kernel(bags.rows).cpu().numpy() for bags in (train, held))
            rates = []
            for cost in rising:
                scores = torch.from_numpy(Machine(own, places.numpy(), cost, multiclass).scores(other))
                rates.append((classes[scores.argmax(dim=1)] == held_targets.cpu()).double().mean())
                done(1)
            accuracy[kind] = torch.stack(rates)
    best = max(accuracy, key=lambda kind: float(accuracy[kind].max()))
    return KernelComparison(
        torch.tensor(rising, dtype=torch.float64), accuracy, best, rising[int(accuracy[best].argmax())]
    )
