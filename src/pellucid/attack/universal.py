"""Universal perturbation: one small change that breaks most images, also ones it was not made from.

By gradient steps on batches: A. Shafahi, M. Najibi, Z. Xu, J. Dickerson, L. Davis, T. Goldstein, "Universal Adversarial
Training", AAAI 2020, section 3, https://arxiv.org/abs/1811.11304. Image by image: S.-M. Moosavi-Dezfooli, A. Fawzi, O.
Fawzi, P. Frossard, "Universal Adversarial Perturbations", CVPR 2017, algorithm 1, https://arxiv.org/abs/1610.08401.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_images
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._balls import direction, projected
from ._crossing import Crossing, crossed
from ._losses import Loss, loss_of
from ._question import check_attack, check_epsilon, is_adversarial
from ._slopes import logits_of, slope
from .trace import Trace

NORMS = ("linf", "l2")

OPTIMISERS = ("gradient", "deepfool")

STEPS = {"gradient": 300, "deepfool": 10}
"""Batches, and passes over all images, unless the caller says otherwise."""


@dataclass(frozen=True)
class UniversalChange:
    """One change for all images."""

    change: Tensor  # (1, C, H, W), in image units
    epsilon: float  # its norm is at most this
    norm: str

    def apply(self, images: Tensor) -> Tensor:
        """These images (N, C, H, W) with the change added, in [0, 1]: also ones it was not made from."""
        check_images(images)
        if images.shape[1:] != self.change.shape[1:]:
            wanted = ", ".join(map(str, self.change.shape[1:]))
            raise ValueError(f"images must be (N, {wanted}) as the change is, got {tuple(images.shape)}")
        return (images.clamp(0, 1) + self.change.to(images)).clamp(0, 1)


def universal(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 10 / 255,
    norm: str = "linf",
    optimiser: str = "gradient",
    steps: int | None = None,
    batch_size: int = 32,
    alpha: float | None = None,
    clip: float = 9.0,
    enough: float = 0.8,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Find one change, the same for all images, that makes as many of them as possible be misclassified.

    It is added to every image, also to ones that are misclassified already. `trace.made.apply` adds it to others.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1]; the more, the better the change does on others.
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: size of the change in image units: 10/255 for linf; about 8 at 224 pixels for l2.
        norm: of the change: linf or l2.
        optimiser: gradient (steps on batches), or deepfool (the original: image by image; slow, and wants many images).
        steps: batches of gradient, or at most so many passes over all images of deepfool; none takes 300, or 10.
        batch_size: of gradient: images in a step, at least 1.
        alpha: of gradient: length of the first step, in image units, shrinking to 0; none takes epsilon / 4.
        clip: of gradient: cross-entropy above which an image is no longer climbed, so that none outweighs the others.
        enough: of deepfool: share of misclassified images at which to stop, in (0, 1].
        targeted: reach the targets instead of leaving them; by gradient alone.
        generator: of the order of the images; none takes one of seed 0.
        trace: a Trace to be written into; made becomes the UniversalChange.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_choice("optimiser", optimiser, OPTIMISERS)
    check_choice("norm", norm, NORMS)
    check_epsilon(epsilon, norm)
    how = _How(
        epsilon=epsilon,
        norm=norm,
        steps=STEPS[optimiser] if steps is None else steps,
        batch_size=batch_size,
        alpha=max(epsilon / 4, 1e-12) if alpha is None else alpha,
        clip=clip,
        enough=enough,
        targeted=targeted,
    )
    how.check()
    if targeted and optimiser == "deepfool":
        raise ValueError("targeted must be off for optimiser deepfool, which only leaves classes: use gradient")
    images, targets = check_attack(model, images, targets)
    trace = (trace or Trace()).begin(len(images))
    source = torch.Generator().manual_seed(0) if generator is None else generator
    fit = _Fit(model, images, targets, how, source, trace)
    with paced(), torch.no_grad():
        change = fit.by_gradient() if optimiser == "gradient" else fit.by_deepfool()
        made = trace.made = UniversalChange(change, epsilon, norm)
        return made.apply(images)


@dataclass(frozen=True)
class _How:
    """The settings; the docstring of `universal` tells each."""

    epsilon: float
    norm: str
    steps: int
    batch_size: int
    alpha: float
    clip: float
    enough: float
    targeted: bool

    def check(self) -> None:
        """Refuse what is out of range."""
        check_count("steps", self.steps, 1)
        check_count("batch_size", self.batch_size, 1)
        for name, value in (("alpha", self.alpha), ("clip", self.clip)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        if not 0 < self.enough <= 1:
            raise ValueError(f"enough must be in (0, 1], got {self.enough}: it is a share of the images")


@dataclass
class _Fit:
    """What a change is made from."""

    model: nn.Module
    images: Tensor  # (N, C, H, W), clean
    targets: Tensor  # (N,)
    how: _How
    source: torch.Generator
    trace: Trace

    def by_gradient(self) -> Tensor:
        """The change (1, C, H, W) by steps on batches, whose length falls in a line, so that it settles."""
        how, change, loss = self.how, torch.zeros_like(self.images[:1]), _clipped(self.how)
        batches = _batches(len(self.images), how.batch_size, self.source)
        with progress("attacking", how.steps) as done:
            for step in range(how.steps):
                rows = next(batches).to(self.images.device)
                moved = self.images[rows] + change
                found = slope(self.model, moved.clamp(0, 1), self.targets[rows], loss)
                self.trace.passed(rows, backward=1)
                self.trace.note(rows, found.value)
                self.trace.iterations[rows.cpu()] += 1
                counts = (moved >= 0) & (moved <= 1)  # where a value is clamped, the change has no effect
                gradient = (found.gradient * counts).sum(dim=0, keepdim=True)
                length = how.alpha * (1 - step / how.steps)
                change = projected(change + length * direction(gradient, how.norm), how.epsilon, how.norm)
                done(1)
        return change

    def by_deepfool(self) -> Tensor:
        """The change (1, C, H, W), image by image by what it lacks to break that too, until enough are broken."""
        change = torch.zeros_like(self.images[:1])
        everyone = torch.arange(len(self.images))
        with progress("attacking", self.how.steps * len(everyone)) as done:
            for _ in range(self.how.steps):
                for row in next(_batches(len(everyone), len(everyone), self.source)).tolist():
                    change = projected(change + self._lacking(change, row), self.how.epsilon, self.how.norm)
                    done(1)
                logits = logits_of(self.model, (self.images + change).clamp(0, 1), self.targets)
                self.trace.passed(everyone)
                if float(is_adversarial(logits, self.targets, targeted=False).double().mean()) >= self.how.enough:
                    break
        return change

    def _lacking(self, change: Tensor, row: int) -> Tensor:
        """The smallest further change (1, C, H, W) that breaks this image, 0 if it is broken."""
        one, here = Trace().begin(1), slice(row, row + 1)
        moved = (self.images[here] + change).clamp(0, 1)
        made = crossed(self.model, moved, self.targets[here], Crossing(), trace=one)
        self.trace.passed(torch.tensor([row]), forward=int(one.forward), backward=int(one.backward))
        self.trace.iterations[row] += int(one.iterations)
        return made - moved


def _clipped(how: _How) -> Loss:
    """Cross-entropy up to the clip; of a target, negated, it has a bound of its own."""
    plain = loss_of("ce", targeted=how.targeted)
    return plain if how.targeted else lambda logits, targets: plain(logits, targets).clamp(max=how.clip)


def _batches(count: int, size: int, source: torch.Generator) -> Iterator[Tensor]:
    """Places (n,) of the images of one step after the other, each image once an epoch, in an order drawn anew."""
    while True:
        order = torch.randperm(count, generator=source, device=source.device)
        yield from torch.split(order, size)
