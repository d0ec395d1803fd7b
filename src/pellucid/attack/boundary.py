"""Boundary: from a wrong image towards the right one, along the border of the classes; labels are enough.

W. Brendel, J. Rauber, M. Bethge, "Decision-Based Adversarial Attacks: Reliable Attacks Against Black-Box Machine
Learning Models", ICLR 2018, section 2. https://arxiv.org/abs/1712.04248
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.checks import check_count, check_images
from pellucid.progress import steps as progress

from ._asking import Asking, BlackBox, asking
from ._balls import sizes, within
from ._question import check_epsilon
from .trace import Trace

BISECTIONS = 10
"""Halvings of the way from the start to the image: to a thousandth of it."""

SPHERE_EVERY = 5
"""Rounds after each of which the steps on the sphere are asked without the step inwards."""

SPHERE_RATE, INWARD_RATE = 0.5, 0.25
"""Shares of successes that the two step lengths are adapted to."""

PACE = 0.1
"""How far a step length adapts: a success more or less than expected is a tenth of it, nearly."""

NOISES = 10
"""Random images that are asked together, in the search for a start."""

CONVERGED = 1e-6
"""Step inwards, as a share of the distance, below which an image is done."""


def boundary(
    model: BlackBox,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    max_queries: int = 5000,
    directions: int = 1,
    sphere_step: float = 0.01,
    inward_step: float = 0.01,
    noise_tries: int = 100,
    targeted: bool = False,
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Walk from an image of another class towards the image, in small random steps that all stay in the other class.

    A step goes along the sphere about the image, then inwards; the lengths of both adapt to how often they succeed.
    The start is the first of some noise images, fine and coarse, that is called another class (targeted: the target),
    blended with the image by bisection; where none is, the image is returned as it is. All images share the draws, so
    that none depends on the others. Other than in the paper a few directions are tried together, which costs queries
    but not time, and the lengths adapt a little at every round, instead of much after many.

    Args:
        model: a black box: maps (n, C, H, W) in [0, 1] to labels (n,), logits or probabilities (n, K); a Query counts.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: most an l2 change may be, in image units: the walk ends there, and what is still farther is cut to it.
        max_queries: images that may be asked for each image, at least 1; the first is the clean one.
        directions: steps tried together in each round, at least 1; of those that succeed one is taken.
        sphere_step: first length of a step along the sphere, as a share of the distance, above 0.
        inward_step: first length of a step inwards, as a share of the distance, above 0, below 1.
        noise_tries: random images asked in search of a start, at least 1.
        targeted: reach the targets instead of leaving them.
        start: (N, C, H, W) or one for all, images that are called another class (targeted: the target); none searches.
        generator: of the noise and the steps, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; its history is the distance, negated.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1]: of another class unless cut to epsilon, or no start found.

    Raises:
        ValueError: an argument is out of its range, a start is not adversarial, or the model is training.
    """
    check_epsilon(epsilon, "l2")
    check_count("directions", directions, 1)
    check_count("noise_tries", noise_tries, 1)
    for name, value in (("sphere_step", sphere_step), ("inward_step", inward_step)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be above 0 and below 1, got {value}: it is a share of the distance")
    noise, steps = _apart(torch.Generator().manual_seed(0) if generator is None else generator)
    with (
        asking(model, images, targets, targeted=targeted, max_queries=max_queries, trace=trace) as ask,
        progress("walking", ask.most) as done,
    ):
        walk = _Walk(ask, directions, epsilon, sphere_step, inward_step)
        if epsilon != 0:
            walk.from_noise(noise, noise_tries) if start is None else walk.from_images(start)
            walk.bisect()
            while walk.is_going_on():
                before = ask.trace.forward.max()
                walk.step(steps)
                done(int(ask.trace.forward.max() - before))
        return walk.now if epsilon is None else within(ask.images, walk.now, epsilon, "l2")


@dataclass
class _Walk:
    """Where each image is, and how long its steps are."""

    ask: Asking
    directions: int
    epsilon: float | None
    sphere_step: float
    inward_step: float

    def __post_init__(self) -> None:
        self.now = self.ask.images.clone()  # (N, C, H, W)
        every = torch.arange(len(self.now), device=self.now.device)
        self.is_clean = ~self._hits(self.ask.labels(self.now, every), every)[0]  # (N,), whether there is no start yet
        self.rows = every[:0]  # (n,), places of the images that walk
        self.round = 0
        self.sphere, self.inward = (
            self.now.new_full((len(every),), math.log(step)) for step in (self.sphere_step, self.inward_step)
        )  # (N,), logarithms of the lengths

    def from_noise(self, source: torch.Generator, tries: int) -> None:
        """Start from noise; the rows are those for which it was found."""
        waiting = self.is_clean.nonzero()[:, 0]
        first = waiting
        for asked in range(0, tries, NOISES):
            count = min(NOISES, tries - asked, self._left(waiting))
            if count < 1:
                break
            noises = _noises(self.now.shape, source).to(self.now)[:count]  # (p, C, H, W)
            labels = self.ask.labels(self.now[waiting], waiting, count, partial(_one_of, noises))
            hits = self._hits(labels, waiting)  # (p, n)
            found = hits.any(dim=0)
            self.now[waiting[found]] = noises[hits.int().argmax(dim=0)[found]]
            self.is_clean[waiting[found]] = False
            waiting = waiting[~found]
        self.rows = first[~self.is_clean[first]]

    def from_images(self, start: Tensor) -> None:
        """Start from images that were given."""
        check_images(start)
        if start.shape[1:] != self.now.shape[1:] or len(start) not in {1, len(self.now)}:
            wanted = f"{tuple(self.now.shape)}, or one image for all"
            raise ValueError(f"start must have the images' shape {wanted}, got {tuple(start.shape)}")
        waiting = self.is_clean.nonzero()[:, 0]
        if self._left(waiting) < 1:
            return
        given = start.detach().clamp(0, 1).to(self.now).expand_as(self.now)[waiting]
        hits = self._hits(self.ask.labels(given, waiting), waiting)[0]
        if not bool(hits.all()):
            goal = "called the target" if self.ask.targeted else "called another class"
            raise ValueError(f"start must be {goal}, got one for image {int(waiting[~hits][0])} that is not")
        self.now[waiting], self.is_clean[waiting], self.rows = given, False, waiting

    def bisect(self) -> None:
        """Go straight towards the image, as far as the class holds."""
        clean, far = self.ask.images[self.rows], self.now[self.rows]
        low, high = (self.now.new_full((len(self.rows), 1, 1, 1), share) for share in (0.0, 1.0))
        for _ in range(BISECTIONS):
            if self._left(self.rows) < 1:
                break
            middle = (low + high) / 2
            blended = clean + middle * (far - clean)
            hit = self._hits(self.ask.labels(blended, self.rows), self.rows)[0][:, None, None, None]
            low, high = torch.where(hit, low, middle), torch.where(hit, middle, high)
        self.now[self.rows] = torch.where(high < 1, clean + high * (far - clean), far)

    def is_going_on(self) -> bool:
        """Let go of the images that are done; whether others are left."""
        far = sizes(self.now[self.rows] - self.ask.images[self.rows], "l2")
        goes = (far > (self.epsilon or 0)) & (self.inward[self.rows] > math.log(CONVERGED))
        goes &= self.ask.left(self.rows) >= self.directions
        self.rows = self.rows[goes]
        return len(self.rows) > 0

    def step(self, source: torch.Generator) -> None:
        """Try some directions, take one that succeeds, adapt the lengths."""
        shape = (self.directions, 1, *self.now.shape[1:])
        drawn = torch.randn(shape, generator=source, device=source.device).to(self.now)
        self.round += 1
        if self.round % SPHERE_EVERY == 0:
            rows = self.rows[self.ask.left(self.rows) >= 2 * self.directions]
            share = self._tried(rows, drawn, is_inward=False).to(self.now).mean(dim=0)
            self.sphere[rows] += PACE * SPHERE_EVERY * (share - SPHERE_RATE)
        rows = self.rows
        hits = self._tried(rows, drawn, is_inward=True)
        found = hits.any(dim=0)
        here = rows[found]
        self.now[here] = self._moved(here, drawn[hits.int().argmax(dim=0)[found], 0][None], is_inward=True)[0]
        self.inward[rows] += PACE * self.directions * (hits.to(self.now).mean(dim=0) - INWARD_RATE)
        self.inward.clamp_(max=math.log(0.5))
        self.sphere.clamp_(max=0.0)
        self.ask.trace.iterations[rows.cpu()] += 1
        self.ask.trace.note(rows, -sizes(self.now[rows] - self.ask.images[rows], "l2"))

    def _tried(self, rows: Tensor, drawn: Tensor, *, is_inward: bool) -> Tensor:
        """Which steps succeed, (p, n), bool."""
        if not len(rows):
            return torch.zeros(len(drawn), 0, dtype=torch.bool, device=rows.device)
        labels = self.ask.labels(
            self.now[rows],
            rows,
            len(drawn),
            lambda _, numbers, places: self._moved(rows[places], drawn[numbers], is_inward=is_inward),
        )
        return self._hits(labels, rows)

    def _moved(self, rows: Tensor, drawn: Tensor, *, is_inward: bool) -> Tensor:
        """The images of these places after steps, (p, n, C, H, W), of drawn directions (p, 1 or n, C, H, W)."""
        clean, sphere, inward = self.ask.images[rows], self.sphere[rows].exp(), self.inward[rows].exp()
        away = self.now[rows] - clean
        far = _length(away)
        across = drawn - (drawn * away).sum(dim=(-3, -2, -1), keepdim=True) / far.square() * away
        across = across / _length(across) * far * sphere[:, None, None, None]
        moved = (away + across) / (1 + sphere.square())[:, None, None, None].sqrt()
        moved = (clean + moved).clamp(0, 1)
        return torch.lerp(moved, clean, inward[:, None, None, None]) if is_inward else moved

    def _left(self, rows: Tensor) -> int:
        return int(self.ask.left(rows).min()) if len(rows) else 0

    def _hits(self, labels: Tensor, rows: Tensor) -> Tensor:
        """Which of the labels (p, n) mean success."""
        own = self.ask.targets[rows]
        return labels == own if self.ask.targeted else labels != own


def _apart(source: torch.Generator) -> tuple[torch.Generator, torch.Generator]:
    """Two generators, so that how long one is asked leaves the other's draws as they are."""
    seeds = torch.randint(2**62, (2,), generator=source, device=source.device).tolist()
    noise, steps = (torch.Generator(source.device).manual_seed(seed) for seed in seeds)
    return noise, steps


def _noises(shape: torch.Size, source: torch.Generator) -> Tensor:
    """Random images (NOISES, C, H, W), fine and coarse by turns."""
    made = []
    for number in range(NOISES):
        size = [max(1, length >> (number % 5)) for length in shape[-2:]]
        drawn = torch.rand(1, shape[1], *size, generator=source, device=source.device)
        made.append(F.interpolate(drawn, size=list(shape[-2:])))
    return torch.cat(made)


def _one_of(noises: Tensor, images: Tensor, numbers: Tensor, _places: Tensor) -> Tensor:
    return noises[numbers][:, None].expand(-1, len(images), -1, -1, -1)


def _length(change: Tensor) -> Tensor:
    """Of each image's change (..., C, H, W), (..., 1, 1, 1), above 0."""
    return change.square().sum(dim=(-3, -2, -1), keepdim=True).sqrt().clamp(min=1e-12)
