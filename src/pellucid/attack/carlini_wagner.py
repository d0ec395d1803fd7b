"""Carlini-Wagner: the smallest l2 change, weighed against the lead of the true class.

N. Carlini, D. Wagner, "Towards Evaluating the Robustness of Neural Networks", IEEE Symposium on Security and Privacy
2017, section VI.A. https://arxiv.org/abs/1608.04644
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_count, check_range
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._question import check_attack, check_epsilon, is_adversarial, lead
from ._slopes import Slope, logits_of, slope
from ._smallest import bounded, spread, surely
from .trace import Trace

INSIDE = 0.999999
"""How near to 0 and 1 an image begins: at the very ends, the inverse of tanh is infinite."""

LOOKS = 10
"""Times in a round that an image's loss is compared with before."""


def carlini_wagner(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    confidence: float = 0.0,
    constant: float = 1e-3,
    rounds: int = 9,
    steps: int = 1000,
    lr: float = 0.01,
    abort_early: bool = True,
    targeted: bool = False,
    trace: Trace | None = None,
) -> Tensor:
    """Find the smallest l2 change by descent: squared change + constant x lead, and by bisection on the constant.

    An image that is misclassified already (or called the target already) is returned as it is, and so is one for which
    no success was found. Costs at most rounds x steps gradients an image.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: largest l2 change in image units; where more is needed, the result stops there; none sets no bound.
        confidence: lead in logits that a success must have, at least 0; more carries over to other networks.
        constant: weight of the lead in the first round, above 0.
        rounds: of the search for the constant, at least 1.
        steps: of Adam in each round, at least 1.
        lr: Adam's learning rate, above 0.
        abort_early: end an image's round when its loss has not fallen in a tenth of the steps.
        targeted: reach the targets instead of leaving them.
        trace: a Trace to be written into; its history is the loss, negated.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1].

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_epsilon(epsilon, "l2")
    check_range("confidence", confidence, 0)
    check_count("rounds", rounds, 1)
    check_count("steps", steps, 1)
    for name, value in (("constant", constant), ("lr", lr)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")
    images, targets = check_attack(model, images, targets)
    how = _How(confidence, steps, lr, abort_early, targeted)
    run = _Run(model, images, targets, how, (trace or Trace()).begin(len(images)))
    with paced(), torch.no_grad(), progress("attacking", rounds * steps) as done:
        search = _Bisection(images.new_full((len(images),), constant))
        rows = run.unbroken()
        for _ in range(rounds):
            reached = run.descend(rows, search.constant[rows], done)
            search.halve(rows, reached)
    return bounded(images, run.best, epsilon, "l2")


@dataclass(frozen=True)
class _How:
    """The settings of a round; the docstring of `carlini_wagner` tells each."""

    confidence: float
    steps: int
    lr: float
    abort_early: bool
    targeted: bool


class _Bisection:
    """The constant of each image: ten times larger until one succeeds, from then on between failure and success."""

    def __init__(self, constant: Tensor) -> None:
        self.constant = constant  # (N,)
        self.low, self.high = torch.zeros_like(constant), torch.full_like(constant, math.inf)

    def halve(self, rows: Tensor, reached: Tensor) -> None:
        """Take in how the images of these places (n,) fared with their constants."""
        now, low, high = self.constant[rows], self.low[rows], self.high[rows]
        low, high = torch.where(reached, low, now), torch.where(reached, now, high)
        self.low[rows], self.high[rows] = low, high
        self.constant[rows] = torch.where(high.isinf(), 10 * now, (low + high) / 2)


@dataclass
class _Some:
    """The images of a round that still pass."""

    rows: Tensor  # (n,), int64, their places among all
    constant: Tensor  # (n,)
    free: Tensor  # (n, C, H, W), what is moved: the image is (tanh(free) + 1) / 2
    mean: Tensor  # (n, C, H, W), Adam's running mean of the gradient
    square: Tensor  # (n, C, H, W), and of its square
    before: Tensor  # (n,), the loss when it was last looked at

    def kept(self, which: Tensor) -> "_Some":
        """Those of a mask (n,)."""
        return _Some(*(held[which] for held in vars(self).values()))


@dataclass
class _Run:
    """The images of one attack, and of each the best success so far."""

    model: nn.Module
    images: Tensor  # (N, C, H, W), clean
    targets: Tensor  # (N,)
    how: _How
    trace: Trace

    def __post_init__(self) -> None:
        self.best = self.images.clone()
        self.least = self.images.new_full((len(self.images),), math.inf)  # its squared change
        self.start = ((2 * self.images - 1) * INSIDE).atanh()

    def unbroken(self) -> Tensor:
        """Places (n,) of the images that need an attack."""
        logits = logits_of(self.model, self.images, self.targets)
        self.trace.passed(torch.arange(len(self.images)))
        return (~is_adversarial(logits, self.targets, targeted=self.how.targeted)).nonzero()[:, 0]

    def descend(self, rows: Tensor, constant: Tensor, done: Callable[[int], None]) -> Tensor:
        """One round of these places (n,); which of them met a success, (n,), bool."""
        reached = torch.zeros(len(self.images), dtype=torch.bool, device=rows.device)
        start = self.start[rows]
        some = _Some(
            rows, constant, start, torch.zeros_like(start), torch.zeros_like(start), torch.full_like(constant, math.inf)
        )
        for step in range(1, self.how.steps + 1):
            if len(some.rows):
                bent = some.free.tanh()
                now, own = (bent + 1) / 2, self.targets[some.rows]
                found = slope(self.model, now, own, self._shortfall, is_checked=True)
                away = now - self.images[some.rows]
                reached[some.rows] |= self._keep(some.rows, now, away, found)
                loss = away.flatten(1).square().sum(dim=1) + some.constant * found.value
                self._count(some.rows, loss)
                gradient = 2 * away + spread(some.constant) * found.gradient
                _adam(some, gradient * (1 - bent) * (1 + bent) / 2, step, self.how.lr)
                some = self._left(some, loss, step)
            done(1)
        return reached[rows]

    def _shortfall(self, logits: Tensor, targets: Tensor) -> Tensor:
        """How far the lead is below where it should be, (R,); not below -confidence."""
        return (-lead(logits, targets, targeted=self.how.targeted)).clamp(min=-self.how.confidence)

    def _keep(self, rows: Tensor, now: Tensor, away: Tensor, found: Slope) -> Tensor:
        """Keep smaller changes that succeed; which have succeeded now, (n,), bool."""
        targets, targeted = self.targets[rows], self.how.targeted
        hit = surely(found.logits, targets, targeted=targeted, margin=self.how.confidence)
        size = away.flatten(1).square().sum(dim=1)
        better = hit & (size < self.least[rows])
        self.best[rows[better]], self.least[rows[better]] = now[better], size[better]
        return hit

    def _count(self, rows: Tensor, loss: Tensor) -> None:
        self.trace.passed(rows, backward=1)
        self.trace.note(rows, -loss)
        self.trace.iterations[rows.cpu()] += 1

    def _left(self, some: _Some, loss: Tensor, step: int) -> _Some:
        """Those whose loss still falls, asked at every tenth of the steps."""
        if not self.how.abort_early or step % max(1, self.how.steps // LOOKS):
            return some
        falling = loss < some.before - 1e-4 * some.before.abs().nan_to_num(posinf=0)
        some.before = loss
        return some if bool(falling.all()) else some.kept(falling)


def _adam(some: _Some, gradient: Tensor, step: int, lr: float) -> None:
    """Move what is free by Adam's step number `step`, from 1; its defaults, each image for itself."""
    some.mean = some.mean.lerp(gradient, 0.1)
    some.square = some.square.lerp(gradient.square(), 0.001)
    scale = (some.square / (1 - 0.999**step)).sqrt_().add_(1e-8)
    some.free = some.free - lr / (1 - 0.9**step) * some.mean / scale
