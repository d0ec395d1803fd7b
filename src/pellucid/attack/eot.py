"""EOT-PGD: steps along a gradient averaged over random views, so that the image still fools when it is met otherwise.

A. Athalye, L. Engstrom, A. Ilyas, K. Kwok, "Synthesizing Robust Adversarial Examples", ICML 2018, section 2.1
(expectation over transformation). https://arxiv.org/abs/1707.07397
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.models import differentiate, evaluate

from ._climb import Climb, climb
from ._losses import Loss, loss_of
from ._question import check_attack, check_logits, is_adversarial
from ._slopes import Slope
from ._views import Spread, Views, views
from .trace import Trace

AT_ONCE = 16
"""Views that are drawn together where survival is measured; their noise is held."""


def eot(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    alpha: float | None = None,
    steps: int = 30,
    samples: int = 10,
    rotation: float = 22.5,
    scale: float = 0.1,
    shift: float = 0.05,
    brightness: float = 0.1,
    noise: float = 0.02,
    targeted: bool = False,
    loss: str = "ce",
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Climb the mean loss over random views (turned, scaled, shifted, brighter, noisy), drawn afresh at each step.

    All steps are taken, since one success says little here, and the last image is returned; `survival` measures it.
    An image that is misclassified already (or called the target already) is returned as it is.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units: 8/255 for linf; about 0.5 at 32 pixels and 3 at 224 for l2.
        norm: of the change: linf, l2 or l1.
        alpha: length of a step in image units; none takes 2.5 epsilon / steps.
        steps: mean gradients, at least 1.
        samples: views for each of them, at least 1; each costs a pass forward and one backward.
        rotation: largest turn to either side, in degrees, 0 to 180.
        scale: largest share by which a view is larger or smaller, at least 0, below 1.
        shift: largest move along each side, as a share of it, 0 to 1.
        brightness: most that is added to or taken from all values, in image units, 0 to 1.
        noise: standard deviation of what is added to each value, in image units, 0 to 1.
        targeted: reach the targets instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        generator: of the start and the views, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; its history is the mean loss over the views.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_count("samples", samples, 1)
    check_count("steps", steps, 1)
    spread = Spread(rotation, scale, shift, brightness, noise)
    spread.check()
    climbed = loss_of(loss, targeted=targeted)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    how = Climb(
        epsilon=epsilon,
        norm=norm,
        alpha=max(2.5 * epsilon / steps, 1e-12) if alpha is None else alpha,
        steps=steps,
        targeted=targeted,
        keep_best=False,
    )

    def ask(some: Tensor, wanted: Tensor) -> Slope:
        return _mean_slope(model, some, wanted, climbed, views(some, samples, spread, source))

    return climb(model, images, targets, how, generator=source, trace=trace, ask=ask)


def survival(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    samples: int = 100,
    rotation: float = 22.5,
    scale: float = 0.1,
    shift: float = 0.05,
    brightness: float = 0.1,
    noise: float = 0.02,
    targeted: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Share of fresh random views of each adversarial image that still fool.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode.
        images: (N, C, H, W), adversarial (or clean, for what the views alone do), in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        samples: views of each image, at least 1.
        rotation: largest turn to either side, in degrees, 0 to 180.
        scale: largest share by which a view is larger or smaller, at least 0, below 1.
        shift: largest move along each side, as a share of it, 0 to 1.
        brightness: most that is added to or taken from all values, in image units, 0 to 1.
        noise: standard deviation of what is added to each value, in image units, 0 to 1.
        targeted: a view fools if it is called the target; else if it is not called the label.
        generator: of the views, which all images share; none takes one of seed 0.

    Returns:
        (N,), float32, in [0, 1]: higher is the more robust attack.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_count("samples", samples, 1)
    spread = Spread(rotation, scale, shift, brightness, noise)
    spread.check()
    images, targets = check_attack(model, images, targets)
    source = torch.Generator().manual_seed(0) if generator is None else generator

    def fools(outputs: Any, rows: Tensor) -> Tensor:
        return is_adversarial(check_logits(outputs, targets[rows]), targets[rows], targeted=targeted).float()

    hits = torch.zeros(len(images), device=images.device)
    for first in range(0, samples, AT_ONCE):
        some = views(images, min(AT_ONCE, samples - first), spread, source)
        hits += evaluate(model, some.plan(images), fools, fold=lambda found, *_: found.sum(dim=0), label="meeting")
    return hits / samples


def _mean_slope(model: nn.Module, images: Tensor, targets: Tensor, loss: Loss, some: Views) -> Slope:
    """The mean over the views of an image of its loss, of that one's gradient and of the logits."""
    sums = _Sums(len(images))

    def score(outputs: Any, rows: Tensor) -> Tensor:
        logits = check_logits(outputs, targets[rows])
        value = loss(logits, targets[rows])
        sums.add(rows, logits.detach(), value.detach())
        return value

    gradient = differentiate(
        model,
        some.plan(images),
        score,
        lambda found, *_: found,
        fold=lambda found, numbers, rows: some.pulled_back(images[rows], numbers, found),
        label="climbing",
    )
    passed = sums.passed
    return Slope(gradient / len(some), sums.logits / passed[:, None], sums.value / passed, passes=len(some))


@dataclass
class _Sums:
    """What passes by on the way to a gradient, summed for each image."""

    count: int

    def __post_init__(self) -> None:
        self.logits = self.value = self.passed = torch.empty(0)

    def add(self, rows: Tensor, logits: Tensor, value: Tensor) -> None:
        if not len(self.value):
            self.logits, self.value = logits.new_zeros(self.count, logits.shape[1]), value.new_zeros(self.count)
            self.passed = torch.zeros_like(self.value)  # more than the views, where a pass that did not fit came again
        self.logits.index_add_(0, rows, logits)
        self.value.index_add_(0, rows, value)
        self.passed.index_add_(0, rows, torch.ones_like(value))
