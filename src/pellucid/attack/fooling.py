"""Fooling images: climb one class's score until the image is called so, whatever it shows.

By steps of one length along the gradient, from an image: K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside
Convolutional Networks", ICLR 2014 workshop, section 2, https://arxiv.org/abs/1312.6034; from noise or grey: A. Nguyen,
J. Yosinski, J. Clune, "Deep Neural Networks are Easily Fooled", CVPR 2015, section 3.2,
https://arxiv.org/abs/1412.1897. With the smallest change, by L-BFGS: C. Szegedy, W. Zaremba, I. Sutskever, J. Bruna, D.
Erhan, I. Goodfellow, R. Fergus, "Intriguing Properties of Neural Networks", ICLR 2014, section 4.1,
https://arxiv.org/abs/1312.6199.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_range
from pellucid.models import Model, paced
from pellucid.progress import steps as progress

from ._balls import direction, within
from ._constrained import Constrained, constrained
from ._losses import Loss, loss_of
from ._question import check_attack, check_epsilon, lead
from ._slopes import slope
from ._smallest import bounded, reached, spread, still, warn_vanished
from .trace import Trace

OPTIMISERS = ("ascent", "lbfgs")
OBJECTIVES = ("score", "margin", "logprob")
DOMAINS = ("network", "pixel")

LENGTHS = {"network": 1.0, "pixel": 0.225}
"""The usual step of 1 in the normalised image, and what it is in pixels, by a usual std of 0.225."""


def fooling(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    optimiser: str = "ascent",
    objective: str = "score",
    domain: str = "network",
    lr: float | None = None,
    steps: int = 100,
    stop_prob: float | None = None,
    constant: float = 1.0,
    rounds: int = 10,
    compact: bool = True,
    trace: Trace | None = None,
) -> Tensor:
    """Change every image until it is called its target class: by steps up that class's score, or as little as can be.

    Always targeted; the images may be anything: photographs, noise, plain grey. An image that is called its target
    already is returned as it is. Give each image one target; to try several, repeat the image.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the classes to reach.
        epsilon: largest l2 change in image units; where more is needed, the result stops there; none sets no bound.
        optimiser: ascent (steps of one length along the gradient), or lbfgs (the smallest change, at many more passes).
        objective: of ascent: score (the target's logit), margin (its lead), or logprob (stalls where it is unlikely).
        domain: where ascent measures a step: network (after the model's normalisation), or pixel.
        lr: l2 length of a step of ascent, above 0; none takes 1 in the network's domain, 0.225 in pixels.
        steps: of ascent, or of each round of lbfgs, at least 0; 0 returns the images.
        stop_prob: probability of the target from which an image is done, in [0, 1]; none stops when it is called so.
        constant: of lbfgs: weight of the squared change against the cross-entropy in the first round, above 0.
        rounds: of lbfgs: constants that are tried in the search for the largest that succeeds, at least 1.
        compact: take images that are done out of the passes; changes the time, never the result.
        trace: a Trace to be written into; its history is the objective.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1].

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_choice("optimiser", optimiser, OPTIMISERS)
    check_choice("domain", domain, DOMAINS)
    check_epsilon(epsilon, "l2")
    check_count("steps", steps, 0)
    if stop_prob is not None:
        check_range("stop_prob", stop_prob, 0, 1)
    smallest = Constrained(constant, rounds, steps, stop_prob)
    smallest.check()
    ascent = _Ascent(epsilon, _objective(objective), LENGTHS[domain] if lr is None else lr, steps, stop_prob, compact)
    ascent.check()
    images, targets = check_attack(model, images, targets)
    trace = (trace or Trace()).begin(len(images))
    with paced(), torch.no_grad():
        if optimiser == "lbfgs":
            made = constrained(model, images, targets, smallest, trace)
        else:
            made = _ascended(model, images, targets, ascent, unit=_unit(model, images, domain), trace=trace)
    warn_vanished(trace, "its score is saturated (try objective='margin')")
    return bounded(images, made, epsilon, "l2")


def _objective(name: str) -> Loss:
    """What ascent climbs, by name: (logits (R, K), targets (R,)) -> (R,)."""
    check_choice("objective", name, OBJECTIVES)
    if name == "score":
        return lambda logits, targets: logits.gather(1, targets[:, None])[:, 0]
    if name == "margin":
        return lambda logits, targets: lead(logits, targets, targeted=True)
    return loss_of("ce", targeted=True)


@dataclass(frozen=True)
class _Ascent:
    """How to climb; the docstring of `fooling` tells each."""

    epsilon: float | None
    objective: Loss
    lr: float
    steps: int
    stop_prob: float | None
    compact: bool

    def check(self) -> None:
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be above 0 and finite, got {self.lr}: it is the l2 length of a step")


def _unit(model: nn.Module, images: Tensor, domain: str) -> Tensor:
    """How far a step of 1 in the domain goes in pixels, by channel, (C, 1, 1) or (1, 1, 1)."""
    if domain == "network" and isinstance(model, Model):
        return model.std.to(images)
    return images.new_ones(1, 1, 1)


def _ascended(model: nn.Module, images: Tensor, targets: Tensor, how: _Ascent, *, unit: Tensor, trace: Trace) -> Tensor:
    """The images (N, C, H, W) where their targets were reached, or where the steps ended."""
    now = images.clone()
    is_done = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    with progress("attacking", how.steps) as done:
        for step in range(how.steps):
            rows = still(is_done, compact=how.compact)
            if len(rows) and not bool(is_done.all()):
                found = slope(model, now[rows], targets[rows], how.objective)
                trace.passed(rows, backward=1)
                trace.note(rows, found.value)
                is_done[rows] |= reached(found.logits, targets[rows], how.stop_prob)
                moving = ~is_done[rows]
                if step == 0:
                    trace.vanished[rows.cpu()] = (moving & (found.gradient == 0).flatten(1).all(dim=1)).cpu()
                moved = now[rows] + how.lr * unit * direction(unit * found.gradient, "l2")
                moved = moved.clamp(0, 1) if how.epsilon is None else within(images[rows], moved, how.epsilon, "l2")
                now[rows] = torch.where(spread(moving), moved, now[rows])
                trace.iterations[rows[moving].cpu()] += 1
            done(1)
    return now
