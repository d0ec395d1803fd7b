"""Strong: several attacks that fail for different reasons, each on what the others left: the one number to quote.

F. Croce, M. Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks",
ICML 2020, section 5 (AutoAttack, here without FAB). https://arxiv.org/abs/2003.01690
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pellucid.checks import check_count
from pellucid.models import paced
from pellucid.progress import steps as progress

from ._ascent import Ascent, ascend
from ._losses import Loss, loss_of
from ._question import check_attack
from ._slopes import logits_of, slope
from ._standing import Standing
from .square import square
from .trace import Trace

Part: TypeAlias = Callable[[Tensor, Trace], Tensor]
"""(places (n,) of the images that still stand, what is to be written into) -> (n, C, H, W), attacked."""

SPREAD = 4
"""Classes that the spread of logits in the targeted DLR needs."""


@dataclass(frozen=True)
class Broken:
    """What broke each image: the `made` of a Trace."""

    parts: tuple[str, ...]  # what was tried, in this order; the first is no attack
    by: Tensor  # (N,), int64, a place in `parts`; -1: it still stands

    @property
    def counts(self) -> tuple[int, ...]:
        """Images that each part broke, of those the parts before had left."""
        return tuple(int((self.by == place).sum()) for place in range(len(self.parts)))

    def json(self) -> dict[str, list[str] | list[int]]:
        """The same for a file."""
        return {"parts": list(self.parts), "by": self.by.tolist()}


def strong(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    steps: int = 100,
    restarts: int = 1,
    rivals: int = 9,
    max_queries: int = 5000,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Attack by APGD on the cross-entropy, by APGD toward each likely class, then by Square, whatever still stands.

    After each part the images are asked afresh, and those that fell are left alone. APGD toward a class climbs the
    difference of its logit and the label's over the spread of all logits (targeted DLR); that needs 4 classes, so with
    fewer the plain difference is climbed. Square has no l1; there it is left out.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units: 8/255 for linf; about 0.5 at 32 pixels and 3 at 224 for l2.
        norm: of the change: linf, l2 or l1.
        steps: gradients of each start of APGD, at least 1.
        restarts: random starts of each APGD, at least 1.
        rivals: likeliest other classes that are aimed at in turn, at least 1; with targeted it is the target alone.
        max_queries: questions of Square for each image; 0 leaves it out.
        targeted: reach the targets instead of leaving them.
        generator: of the starts and squares, which all images share; none takes one of seed 0.
        trace: a Trace to be written into: the sum of all parts; its `made` is a Broken, which tells who broke what.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    how = Ascent(epsilon, norm, steps, restarts, targeted)
    how.check()
    check_count("rivals", rivals, 1)
    check_count("max_queries", max_queries, 0)
    images, targets = check_attack(model, images, targets)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    standing = Standing(images, targets, targeted, (trace or Trace()).begin(len(images)))
    with paced(), torch.no_grad():
        logits = logits_of(model, images, targets)
        every = standing.left()
        standing.trace.passed(every)
        standing.keep(every, images, logits)
        parts = _Parts(model, images, targets, how, source)
        runs: list[tuple[str, Part]] = [("apgd ce", parts.away)]
        if targeted:
            runs.append(("apgd dlr", parts.reach))
        else:
            likely = logits.scatter(1, targets[:, None], -torch.inf).argsort(dim=1, descending=True)  # (N, K)
            runs += [("apgd dlr", parts.toward(rival)) for rival in likely[:, : logits.shape[1] - 1].T[:rivals]]
        if max_queries and norm != "l1":
            runs.append(("square", parts.asking(max_queries)))
        standing.trace.made = _broken(model, standing, runs)
    return standing.best


def _broken(model: nn.Module, standing: Standing, runs: list[tuple[str, Part]]) -> Broken:
    """Run each part on what still stands, and ask afresh what it broke."""
    names = ["clean", *dict.fromkeys(name for name, _ in runs)]
    by = torch.where(standing.is_done.cpu(), 0, -1)
    with progress("attacking", len(runs)) as done:
        for name, part in runs:
            rows = standing.left()
            if len(rows):
                own = Trace()
                made = part(rows, own)
                _add(standing.trace, rows.cpu(), own)
                standing.look(model, rows, made)
                by[standing.is_done.cpu() & (by == -1)] = names.index(name)
            done(1)
    return Broken(tuple(names), by)


def _add(trace: Trace, places: Tensor, part: Trace) -> None:
    """What a part did to the images of these places, on top of what was done to them before."""
    trace.forward[places] += part.forward
    trace.backward[places] += part.backward
    trace.iterations[places] += part.iterations
    trace.vanished[places] |= part.vanished
    for values in part.history:
        trace.note(places, values)


@dataclass(frozen=True)
class _Parts:
    """The attacks that `strong` is made of."""

    model: nn.Module
    images: Tensor
    targets: Tensor
    how: Ascent
    source: torch.Generator

    def away(self, rows: Tensor, own: Trace) -> Tensor:
        """Climb the cross-entropy."""
        return self._climb(rows, own, self.targets[rows], loss_of("ce", targeted=self.how.targeted))

    def reach(self, rows: Tensor, own: Trace) -> Tensor:
        """Climb the targets' lead, over the spread of logits if there are enough."""
        loss = lambda logits, targets: loss_of(  # noqa: E731
            "dlr" if logits.shape[1] >= SPREAD else "margin", targeted=True
        )(logits, targets)
        return self._climb(rows, own, self.targets[rows], loss)

    def toward(self, rival: Tensor) -> Part:
        """Climb from the label toward another class (N,)."""
        pairs = torch.stack([self.targets, rival], dim=1)  # (N, 2)
        return lambda rows, own: self._climb(rows, own, pairs[rows], _toward)

    def asking(self, max_queries: int) -> Part:
        """Ask for answers alone."""
        return lambda rows, own: square(
            self.model,
            self.images[rows],
            self.targets[rows],
            epsilon=self.how.epsilon,
            norm=self.how.norm,
            max_queries=max_queries,
            targeted=self.how.targeted,
            generator=self.source,
            trace=own,
        )

    def _climb(self, rows: Tensor, own: Trace, wanted: Tensor, loss: Loss) -> Tensor:
        ask = lambda some, here: slope(self.model, some, wanted[here], loss)  # noqa: E731
        images, targets = self.images[rows], self.targets[rows]
        return ascend(self.model, images, targets, self.how, ask, source=self.source, trace=own)


def _toward(logits: Tensor, pairs: Tensor) -> Tensor:
    """The lead of each second class over the first (R, 2), over z(1) - (z(3) + z(4)) / 2 if there are so many."""
    first, second = logits.gather(1, pairs).unbind(dim=1)
    if logits.shape[1] < SPREAD:
        return second - first
    ordered = logits.topk(4, dim=1).values
    return (second - first) / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2).clamp(min=1e-12)
