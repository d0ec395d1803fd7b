"""Measured robustness: how many images are still called right when an attack may change them by ever more.

N. Carlini, A. Athalye, N. Papernot, W. Brendel, J. Rauber, D. Tsipras, I. Goodfellow, A. Madry, A. Kurakin, "On
Evaluating Adversarial Robustness", 2019, sections 3 to 5. https://arxiv.org/abs/1902.06705
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.metrics import Interval, bootstrap, proportion
from pellucid.progress import steps as progress

from ._question import check_attack, check_epsilon, is_adversarial
from ._slopes import logits_of
from ._tried import Tried, tried
from .aims import Attack, attack_of, check_aim, norm_of

EPSILONS = (0.0, 0.5 / 255, 1 / 255, 2 / 255, 4 / 255, 8 / 255)


@dataclass(frozen=True)
class Robustness:
    """How a network's accuracy falls with the size of the change; E sizes, N images, K classes, all on the CPU.

    An image that a smaller change broke counts as broken by every larger one, so that `accuracy` never rises; `alone`
    is what each size came to by itself. Of a targeted attack accuracy is the share not called the target.
    """

    epsilons: tuple[float, ...]  # E, ascending, in image units
    accuracy: tuple[Interval, ...]  # E, share of all images still right, with its bootstrap band
    wilson: tuple[Interval, ...]  # E, the same shares with Wilson's interval
    alone: tuple[Interval, ...]  # E, shares at each size by itself, with Wilson's interval; () unless independent
    smallest: Tensor  # (N,), float64, least epsilon tried that broke the image; 0 wrong already, inf none did
    adversarial: Tensor  # (N, C, H, W), at that epsilon; the clean image where none broke it
    targets: Tensor  # (N,), int64, as given
    before: Tensor  # (N,), int64, the class called of the clean image
    after: Tensor  # (N,), int64, the class called of `adversarial`
    class_accuracy: Tensor  # (E, K), float64, accuracy of the images of each target; NaN where there are none
    forward: Tensor  # (N,), int64, images passed forward by the attacks: a black box's queries
    backward: Tensor  # (N,), int64, gradients taken
    vanished: Tensor  # (N,), bool, the gradient at a start was zero everywhere


def robustness(
    model: nn.Module | Callable[[Tensor], Any],
    images: Tensor,
    targets: Tensor,
    *,
    epsilons: Sequence[float] = EPSILONS,
    method: str | Attack = "pgd",
    norm: str = "linf",
    steps: int | None = None,
    targeted: bool = False,
    independent: bool = False,
    generator: torch.Generator | None = None,
) -> Robustness:
    """Attack every image by ever larger changes, and say how many are still called right at each size.

    Every success is checked by a pass of its own. All sizes start from the same draws.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilons: radii of the ball in image units, ascending; 0 measures the clean images.
        method: name of an attack, or an attack with options bound by functools.partial.
        norm: of the change, where the attack has several: linf, l2 or l1.
        steps: of the attack, where it has such; none takes its own default.
        targeted: reach the targets instead of leaving them.
        independent: attack also what a smaller epsilon broke, so that `alone` is known; costs more.
        generator: of the starts; none takes one of seed 0.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    images, targets = check_attack(model, images, targets)
    epsilons = _checked(epsilons, norm_of(method, norm))
    check_aim(method, targeted=targeted)
    attack = attack_of(method)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    ask = partial(tried, generator=source, targeted=targeted, norm=norm, steps=steps)
    run = _Run(model, images, targets, targeted)
    alone: list[Interval] = []
    kept: list[Tensor] = []
    with torch.no_grad(), progress("measuring robustness", len(epsilons)) as done:
        for epsilon in epsilons:
            rows = torch.arange(len(images)) if independent else run.smallest.isinf().nonzero()[:, 0]
            if epsilon > 0 and len(rows):
                here = rows.to(images.device)
                broken = run.saw(rows, epsilon, ask(model, attack, images[here], targets[here], epsilon))
            else:
                broken = (run.smallest == 0)[rows]
            if independent:
                alone.append(proportion(int((~broken).sum()), len(images)))
            kept.append(run.smallest > epsilon)
            done(1)
    return run.told(epsilons, torch.stack(kept), tuple(alone))


class _Run:
    """How far each image is."""

    def __init__(
        self, model: nn.Module | Callable[[Tensor], Any], images: Tensor, targets: Tensor, targeted: bool
    ) -> None:
        self.targets = targets
        with torch.no_grad():
            logits = logits_of(model, images, targets)
        self.classes = logits.shape[1]
        self.before = logits.argmax(dim=1).cpu()
        self.after = self.before.clone()
        is_done = is_adversarial(logits, targets, targeted=targeted).cpu()
        self.smallest = torch.where(is_done, 0.0, math.inf).double()
        self.adversarial = images.cpu().clone()
        self.forward, self.backward = (torch.zeros(len(images), dtype=torch.int64) for _ in range(2))
        self.vanished = torch.zeros(len(images), dtype=torch.bool)

    def saw(self, rows: Tensor, epsilon: float, found: Tried) -> Tensor:
        """Keep what an attack on the images in these places (R,) came to; (R,), bool, which are broken."""
        is_fresh = found.broken & self.smallest[rows].isinf()
        fresh = rows[is_fresh]
        self.smallest[fresh] = epsilon
        self.adversarial[fresh] = found.adversarial[is_fresh.to(found.adversarial.device)].cpu()
        self.after[fresh] = found.called[is_fresh]
        self.forward[rows] += found.trace.forward
        self.backward[rows] += found.trace.backward
        self.vanished[rows] |= found.trace.vanished
        return found.broken

    def told(self, epsilons: tuple[float, ...], kept: Tensor, alone: tuple[Interval, ...]) -> Robustness:
        """The numbers, from which images (E, N), bool, were still right at each size."""
        targets = self.targets.cpu()
        of_class = torch.nn.functional.one_hot(targets, self.classes).double()  # (N, K)
        return Robustness(
            epsilons=epsilons,
            accuracy=tuple(bootstrap(row.double()) for row in kept),
            wilson=tuple(proportion(int(row.sum()), len(row)) for row in kept),
            alone=alone,
            smallest=self.smallest,
            adversarial=self.adversarial,
            targets=targets,
            before=self.before,
            after=self.after,
            class_accuracy=kept.double() @ of_class / of_class.sum(dim=0),
            forward=self.forward,
            backward=self.backward,
            vanished=self.vanished,
        )


def _checked(epsilons: Sequence[float], norm: str) -> tuple[float, ...]:
    """The epsilons as floats; refuses none at all, one out of range, or an order that is not ascending."""
    found = tuple(float(epsilon) for epsilon in epsilons)
    if not found or any(second <= first for first, second in pairwise(found)):
        raise ValueError(
            f"epsilons must be at least one, ascending, got {', '.join(f'{e:g}' for e in found) or 'none'}"
        )
    for epsilon in found:
        check_epsilon(epsilon, norm)
    return found
