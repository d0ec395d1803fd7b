"""Adversarial patch: one picture that, laid anywhere on any image, decides what it is called.

T. Brown, D. Mané, A. Roy, M. Abadi, J. Gilmer, "Adversarial Patch", NIPS 2017 workshop on machine learning and computer
security, section 2. https://arxiv.org/abs/1712.09665. The expectation over places, turns and sizes is that of A.
Athalye, L. Engstrom, A. Ilyas, K. Kwok, "Synthesizing Robust Adversarial Examples", ICML 2018.
https://arxiv.org/abs/1707.07397
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_range, near
from pellucid.data import read_image
from pellucid.models import Model, paced
from pellucid.progress import steps as progress

from ._balls import within
from ._losses import Loss, loss_of
from ._paste import Patch, fitted, laid
from ._places import Places, Spread
from ._question import check_attack, check_epsilon, check_logits
from ._slopes import slope
from .trace import Trace

OPTIMISERS = ("adam", "sign")

STARTS = ("grey", "noise")


def patch(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    area: float = 0.05,
    shape: str = "disc",
    rotation: float = 22.5,
    scale_low: float = 0.7,
    scale_high: float = 1.3,
    start: str = "grey",
    camouflage: float | None = None,
    optimiser: str = "adam",
    lr: float = 0.05,
    steps: int = 500,
    batch_size: int = 16,
    targeted: bool = False,
    loss: str = "ce",
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Train one patch on all images together, at random places, turns and sizes, and lay it on each of them.

    The paper's patch is targeted, to one class; here, as with every attack, that has to be asked for. Images that are
    misclassified (or called the target) already get the patch too. What it does to images it was not trained on is
    measured by `patch_success`.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1]; the more, the better it does on others.
        targets: (N,), int64, the true classes; with targeted the one class to reach, for every image.
        epsilon: none pastes opaquely; else a patch that changes what it lies on by at most this, in image units.
        area: share of the image that is covered at scale 1, in (0, 1).
        shape: disc or square.
        rotation: largest turn to either side, in degrees, 0 to 180.
        scale_low: smallest factor on the patch's width, above 0.
        scale_high: largest factor on the patch's width, at least scale_low.
        start: what the patch begins as: grey, noise, or the path of a picture.
        camouflage: farthest that a value of the patch may move from its start, in image units; none sets no bound.
        optimiser: adam, or sign (steps of one length along the gradient's sign).
        lr: length of a step, in image units.
        steps: of the training, at least 1.
        batch_size: images in each step, at least 1; the same image several times where there are fewer.
        targeted: reach the one class that all targets name, instead of leaving them.
        loss: ce (cross-entropy), margin (difference of logits) or dlr (that over the spread of logits).
        generator: of the noise, the batches and the places; none takes one of seed 0.
        trace: a Trace to be written into; made becomes the Patch.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1]; changed under the patch alone.

    Raises:
        ValueError: an argument is out of its range, the patch does not fit on the image, or the model is training.
    """
    spread = Spread(shape, area, rotation, scale_low, scale_high)
    how = _How(epsilon, start, camouflage, optimiser, lr, steps, batch_size, loss_of(loss, targeted=targeted))
    spread.check()
    how.check()
    images, targets = check_attack(model, images, targets)
    _check_size(model, images)
    spread.check_fits(images.shape[-2:])
    blank = _blank(model, targets, spread, epsilon, targeted=targeted)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    trace = trace or Trace()
    with torch.inference_mode(False), torch.no_grad():
        trace.begin(len(images))
        images = images.clone() if images.is_inference() else images  # else no gradient passes by them
        training = _Training(model, images, targets, blank.spread, how, trace)
        made = replace(blank, colours=training.colours(source))
        trace.made = made
        return made.paste(images, generator=source)


@dataclass(frozen=True)
class _How:
    """How to train; the docstring of `patch` tells each."""

    epsilon: float | None
    start: str
    camouflage: float | None
    optimiser: str
    lr: float
    steps: int
    batch_size: int
    loss: Loss

    def check(self) -> None:
        """Refuse what is out of range."""
        check_epsilon(self.epsilon)
        if self.camouflage is not None:
            check_range("camouflage", self.camouflage, 0, 1)
        check_choice("optimiser", self.optimiser, OPTIMISERS)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be above 0, got {self.lr}: it is the length of a step, in image units")
        check_count("steps", self.steps, 1)
        check_count("batch_size", self.batch_size, 1)


def _check_size(model: nn.Module, images: Tensor) -> None:
    """Refuse images of another size than a Model's own: the patch would be trained on another picture of the world."""
    if isinstance(model, Model) and images.shape[-2:] != model.geometry.size:
        wanted, given = (" x ".join(map(str, size)) for size in (model.geometry.size, images.shape[-2:]))
        raise ValueError(f"images must be {wanted}, as the model takes them, got {given}: resize them first")


def _blank(model: nn.Module, targets: Tensor, spread: Spread, epsilon: float | None, *, targeted: bool) -> Patch:
    """The patch without its colours; refuses targets of several classes where one is to be reached."""
    nothing = torch.empty(0)
    if not targeted:
        return Patch(nothing, spread, epsilon=epsilon)
    classes = sorted(set(targets.tolist()))
    if len(classes) > 1:
        told = ", ".join(map(str, classes[:5])) + (", ..." if len(classes) > 5 else "")
        raise ValueError(f"targets must be one class, which the patch is to show, got {len(classes)}: {told}")
    target = classes[0]
    names = model.classes if isinstance(model, Model) else ()
    return Patch(nothing, spread, target, names[target] if 0 <= target < len(names) else "", epsilon)


@dataclass(frozen=True)
class _Training:
    """All that a step is taken with."""

    model: nn.Module
    images: Tensor  # (N, C, H, W)
    targets: Tensor  # (N,)
    spread: Spread
    how: _How
    trace: Trace

    def colours(self, source: torch.Generator) -> Tensor:
        """The colours (C, S, S) after all steps."""
        how, batches = self.how, _batches(len(self.images), self.how.batch_size, source)
        begun = _begun(how.start, self.images, self.spread, source)
        now = begun.clone()
        adam = torch.optim.Adam([now], lr=how.lr, maximize=True)
        with paced(), progress("training the patch", how.steps) as done:
            for step in range(how.steps):
                rows = next(batches).to(self.images.device)
                places = self.spread.draw(len(rows), self.images.shape[-2:], source)
                now.grad = self._slope(now, rows, places, is_first=step == 0)
                if how.optimiser == "adam":
                    adam.step()
                else:
                    now += how.lr * now.grad.sign()
                if how.camouflage is not None:
                    now.copy_(within(begun, now, how.camouflage, "linf"))
                now.clamp_(0, 1)
                done(1)
        self.trace.iterations += how.steps
        return now.detach()

    def _slope(self, now: Tensor, rows: Tensor, places: Places, *, is_first: bool) -> Tensor:
        """Gradient of the batch's mean loss with respect to the colours (C, S, S).

        The network is asked for the gradient with respect to the pasted images alone, which is then pulled back
        through the paste: how many of them pass together is the business of `models.differentiate`.
        """
        with torch.enable_grad():
            leaf = now.detach().clone().requires_grad_()
            pasted = laid(self.images[rows], leaf[None], places, self.spread, self.how.epsilon)
        found = slope(self.model, pasted.detach(), self.targets[rows], self.how.loss)
        _note(self.trace, rows, found.value)
        if is_first:
            check_logits(found.logits, self.targets)  # also those of later batches
            _look(self.trace, rows, found.gradient)
        pulled: Tensor = torch.autograd.grad(pasted, leaf, found.gradient / len(rows))[0]
        return pulled


def _begun(start: str, images: Tensor, spread: Spread, source: torch.Generator) -> Tensor:
    """The colours (C, S, S) before the first step: about one for each pixel that they will cover."""
    side = math.ceil(spread.width(images.shape[-2:]))
    shape = (images.shape[1], side, side)
    if start == "grey":
        return images.new_full(shape, 0.5)
    if start == "noise":
        return torch.rand(shape, generator=source, device=source.device).to(images)
    if not Path(start).is_file():
        raise ValueError(f"start must be grey, noise or the path of a picture, got {start!r}{near(start, STARTS)}")
    return fitted(read_image(start)[0], side, images.shape[1]).to(images)


def _batches(count: int, size: int, source: torch.Generator) -> Iterator[Tensor]:
    """Places (size,) of images, without end: every image comes once before any comes again."""
    ahead = torch.empty(0, dtype=torch.int64, device=source.device)
    while True:
        while len(ahead) < size:
            ahead = torch.cat([ahead, torch.randperm(count, generator=source, device=source.device)])
        yield ahead[:size]
        ahead = ahead[size:]


def _note(trace: Trace, rows: Tensor, values: Tensor) -> None:
    """Count a batch, in which an image may come several times; of its values the mean is noted."""
    rows = rows.cpu()
    times = torch.bincount(rows, minlength=len(trace.forward))
    trace.forward += times
    trace.backward += times
    sums = torch.zeros(len(times)).index_add_(0, rows, values.detach().float().cpu())
    seen = times.nonzero()[:, 0]
    trace.note(seen, sums[seen] / times[seen])


def _look(trace: Trace, rows: Tensor, gradient: Tensor) -> None:
    """Note, and say if it is all, which images had no slope at the start."""
    flat = (gradient.flatten(1).abs().amax(dim=1) == 0).cpu()  # (B,)
    trace.vanished[rows.cpu()[flat]] = True
    if bool(flat.all()):
        warnings.warn(
            "the gradient is zero at the start on every image, so that the patch hardly changes: the loss is saturated "
            "(try loss='margin' or 'dlr'), or the network hides it",
            stacklevel=5,
        )
