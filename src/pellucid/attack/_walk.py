"""A walk along the boundary of a class, through latent space, by labels alone.

J. Chen, M. Jordan, M. Wainwright, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack", IEEE Symposium on
Security and Privacy 2020, algorithm 2. https://arxiv.org/abs/1904.02144
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range
from pellucid.progress import steps as progress

from ._asking import Asking
from ._balls import sizes
from ._latents import Latents, distances
from ._question import check_epsilon

HALVINGS = 15
"""Times a step is halved before it is given up: to a 30,000th, which is no step any more."""


@dataclass(frozen=True)
class Steps:
    """How to walk; the docstring of `latent` tells each."""

    directions: int
    most_directions: int
    tolerance: float
    distance: str
    epsilon: float | None

    def check(self) -> None:
        """Refuse what is out of range."""
        check_choice("distance", self.distance, ("latent", "image"))
        check_epsilon(self.epsilon)
        check_count("directions", self.directions, 1)
        check_count("most_directions", self.most_directions, self.directions)
        check_range("tolerance", self.tolerance, 1e-9, 1)


@dataclass
class Kept:
    """Of one image the way so far."""

    queries: list[int] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    path: list[Tensor] = field(default_factory=list)  # (D,) each


class Walker:
    """Vectors that are on their way to their sources, and never leave the class.

    Args:
        ask: the questions.
        space: how a vector becomes an image.
        sources: (N, D), of all images.
        how: the settings.
    """

    def __init__(self, ask: Asking, space: Latents, sources: Tensor, how: Steps) -> None:
        self.ask, self.space, self.how, self.sources = ask, space, how, sources
        self.best = sources.clone()  # (N, D)
        self.least = sources.new_full((len(sources),), math.inf)  # (N,), inf where nothing was found within epsilon
        self.kept: dict[int, Kept] = {}

    def walk(self, rows: Tensor, starts: Tensor, generator: torch.Generator) -> None:
        """Until the budget is spent, or nothing lies between a vector and its source.

        Args:
            rows: (m,), places of the images that walk.
            starts: (m, D), called as the attack wants.
            generator: of the directions, which all images share.
        """
        self.rows, self.now, self.sources, self.generator = rows, starts.clone(), self.sources[rows], generator
        self.first = sizes(starts - self.sources, "l2")  # (m,)
        self.size = starts.new_full((len(rows),), math.inf)
        self.kept = {row: Kept() for row in rows.tolist()}
        self._take(self.now, torch.ones_like(self.rows, dtype=torch.bool))
        self._take(*self._towards_source(self.now))
        left = self._left()
        with progress("walking", left) as done:
            iteration = 0
            while len(self.rows):
                self._only(self._is_open())
                iteration += 1
                if len(self.rows):
                    self._step(iteration)
                done(left - self._left())
                left = self._left()

    def _left(self) -> int:
        """Questions that the walk may still take."""
        return int(self.ask.left(self.rows).max()) if len(self.rows) else 0

    def _is_open(self) -> Tensor:
        """Which (m,) may still be asked, and have a way to go."""
        return (self.ask.left(self.rows) > 1) & (sizes(self.now - self.sources, "l2") > self.how.tolerance * self.first)

    def _step(self, iteration: int) -> None:
        """A direction, a step along it, and back to the boundary; kept where it brings nearer."""
        length = sizes(self.now - self.sources, "l2")  # (m,)
        direction = self._direction(iteration, length / self.now.shape[1])
        stepped, moved = self._jump(direction, length / math.sqrt(iteration))
        where = moved.nonzero()[:, 0]
        if len(where):
            nearer, _ = self._towards_source(stepped, where)
            self._take(nearer, moved)
        self.ask.trace.iterations[self.rows.cpu()] += 1
        self.ask.trace.note(self.rows, -self.size)

    def _direction(self, iteration: int, radius: Tensor) -> Tensor:
        """Unit vectors (m, D) along which the class is gained: the mean of directions, weighed by what each met."""
        most = self.how.most_directions
        asked = min(most, round(self.how.directions * math.sqrt(iteration)))
        drawn = torch.randn(asked, self.now.shape[1], generator=self.generator, device=self.generator.device)
        drawn = (drawn / drawn.norm(dim=1, keepdim=True)).to(self.now)  # (b, D)
        counts = (self.ask.left(self.rows) - 1).clamp(max=asked)  # one question is left for the step
        found = torch.empty_like(self.now)
        for count in sorted(set(counts.tolist())):
            rows = (counts == count).nonzero()[:, 0]
            around = self.now[rows] + radius[rows, None] * drawn[:count, None]  # (b, r, D)
            signs = 2 * self._hits(around, rows).to(self.now) - 1  # (b, r)
            weights = signs - signs.mean(dim=0)
            weights = torch.where((weights == 0).all(dim=0), signs, weights)  # all alike: their mean direction
            found[rows] = weights.T @ drawn[:count]
        return found / sizes(found, "l2")[:, None].clamp(min=1e-12)

    def _jump(self, direction: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The farthest of ever shorter steps that keeps the class (m, D), and which images (m,) found one."""
        made, is_found = self.now.clone(), torch.zeros_like(self.rows, dtype=torch.bool)
        for _ in range(HALVINGS):
            rows = (~is_found & (self.ask.left(self.rows) > 0)).nonzero()[:, 0]
            if not len(rows):
                break
            tried = self.now[rows] + length[rows, None] * direction[rows]
            hit = self._hits(tried[None], rows)[0]
            made[rows[hit]], is_found[rows[hit]] = tried[hit], True
            length = length / 2
        return made, is_found

    def _towards_source(self, vectors: Tensor, where: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The last points (m, D) of the class on the way from vectors to sources, by bisection; (and all rows)."""
        size = self.now.shape[1]
        low, high = torch.zeros_like(self.first), torch.ones_like(self.first)  # at low another class, at high this one
        length = sizes(vectors - self.sources, "l2")
        enough = (self.how.tolerance * self.first).minimum(length / size**1.5)
        every = torch.ones_like(self.rows, dtype=torch.bool)
        walking = every.clone() if where is None else torch.zeros_like(every).index_fill(0, where, value=True)
        while True:
            is_open = walking & ((high - low) * length > enough) & (self.ask.left(self.rows) > 0)
            rows = is_open.nonzero()[:, 0]
            if not len(rows):
                break
            middle = (low[rows] + high[rows]) / 2
            hit = self._hits(self._between(vectors, middle, rows)[None], rows)[0]
            high[rows[hit]], low[rows[~hit]] = middle[hit], middle[~hit]
        return self._between(vectors, high, torch.arange(len(vectors), device=vectors.device)), every

    def _between(self, vectors: Tensor, share: Tensor, rows: Tensor) -> Tensor:
        """Points (r, D) at this share of the way from source to vector; the vector itself at 1."""
        return torch.lerp(self.sources[rows], vectors[rows], share[:, None])

    def _hits(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """(p, r), bool: whether the images of vectors (p, r, D) are called as wanted."""
        there = self.rows[rows]
        return are_wanted(self.ask, labels(self.ask, self.space, vectors, there), there)

    def _take(self, vectors: Tensor, chosen: Tensor) -> None:
        """Walk on from vectors (m, D) where they are nearer; keep them where epsilon allows."""
        size = distances(self.space, self.how.distance, self.sources, self.ask.images[self.rows], vectors)
        nearer = chosen & (size < self.size)
        self.now = torch.where(nearer[:, None], vectors, self.now)
        self.size = torch.where(nearer, size, self.size)
        places = nearer.nonzero()[:, 0]
        if len(places):
            allowed = places[is_allowed(self.ask, self.space, vectors[places], self.rows[places], self.how.epsilon)]
            self.best[self.rows[allowed]], self.least[self.rows[allowed]] = vectors[allowed], size[allowed]
        asked = self.ask.trace.forward[self.rows.cpu()].tolist()
        for place, (row, queries, value) in enumerate(zip(self.rows.tolist(), asked, self.size.tolist(), strict=True)):
            kept = self.kept[row]
            kept.queries.append(queries)
            kept.distances.append(value)
            kept.path.append(self.now[place])

    def _only(self, stay: Tensor) -> None:
        self.rows, self.now, self.sources = self.rows[stay], self.now[stay], self.sources[stay]
        self.first, self.size = self.first[stay], self.size[stay]


def are_wanted(ask: Asking, called: Tensor, rows: Tensor) -> Tensor:
    """(..., r), bool: which classes (..., r), int64, are what the attack of these rows (r,) wants."""
    return called == ask.targets[rows] if ask.targeted else called != ask.targets[rows]


def labels(ask: Asking, space: Latents, vectors: Tensor, rows: Tensor) -> Tensor:
    """What the images of vectors (p, r, D) are called, (p, r), int64."""

    def vary(_images: Tensor, numbers: Tensor, places: Tensor) -> Tensor:
        some = vectors[numbers][:, places]  # (q, n, D)
        return space.decode(some.flatten(0, 1)).view(*some.shape[:2], *space.image)

    return ask.labels(ask.images[rows], rows, len(vectors), vary)


def is_allowed(ask: Asking, space: Latents, vectors: Tensor, rows: Tensor, epsilon: float | None) -> Tensor:
    """(r,), bool: whether the images of vectors (r, D) change no value by more than epsilon."""
    if epsilon is None:
        return torch.ones_like(rows, dtype=torch.bool)
    return sizes(space.decode(vectors) - ask.images[rows], "linf") <= epsilon
