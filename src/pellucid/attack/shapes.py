"""Evolved shapes: translucent circles, triangles or strokes, changed one at a time until the black box is fooled.

P. Williams, K. Li, "Art-Attack: Black-Box Adversarial Attack via Evolutionary Art", 2022.
https://arxiv.org/abs/2203.04405
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range
from pellucid.progress import steps as progress

from ._asking import Asking, BlackBox, Vary, asking
from ._layers import WRAPPED, Child, Layers, Look
from ._painting import FORM, KINDS, Painting
from ._question import lead
from .trace import Trace

CHANGED, REPLACED = 0.8, 0.1
"""Shares of the children of which a shape was changed or replaced; of the others two shapes change places."""

GROWN, SHRUNK, SIGMAS = 1.1, 0.97, (0.01, 0.3)
"""What a better child and none do to sigma, and the range it keeps: it stands still at one better child in four."""

TIE = 1e-6
"""Answers that differ by less are the same: the network's rounding may depend on what it is asked together."""


def shapes(
    model: BlackBox,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = 0.05,
    mode: str = "noise",
    count: int = 50,
    kind: str = "circle",
    max_queries: int = 10000,
    children: int = 1,
    sigma: float = 0.1,
    opacity: float = 1.0,
    smallest: float = 0.02,
    largest: float = 0.5,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Paint translucent shapes, change one at a time, and keep what brings the answer nearer to a wrong one.

    A box is asked for logits or probabilities, nothing else. An image that is misclassified already (or called the
    target already) is returned as it is; so is one for which no painting came nearer than none. The paper leaves the
    search open: shapes, shares of the kinds of change and the rule for sigma are this project's. With a trace,
    `trace.made` is a tuple of one Painting for each image, which paints it again at any size and writes SVG.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits or probabilities (N, K): a network, a function or a Query.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: largest change of a value, in image units; none sets no bound, for overlay: one sees the shapes.
        mode: noise (painted on gray, scaled to epsilon and added) or overlay (painted on the image, then bounded).
        count: shapes, at least 1.
        kind: circle, triangle, rectangle, stroke or mixed.
        max_queries: answers an image may cost, the clean image's among them, at least 2.
        children: changed paintings asked together, the best of which may replace its parent; 1 needs fewest queries.
        sigma: standard deviation of a change, where 1 is a gene's whole range, in [0.01, 0.3]; adapts from there.
        opacity: of the least translucent shape, in [0, 1].
        smallest: radius, width or length of a shape, as a share of the image's shorter side, above 0.
        largest: the same, at least smallest and at most 1; a stroke is at most a fifth of it wide.
        targeted: reach the targets instead of leaving them.
        generator: of shapes and changes, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; its made is a tuple of Painting.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, the box answers labels, or the model is training.
    """
    look = Look(mode, epsilon, opacity, smallest, largest)
    look.check()
    check_choice("kind", kind, (*KINDS, "mixed"))
    check_count("count", count, 1)
    check_count("max_queries", max_queries, 2)
    check_count("children", children, 1)
    check_range("sigma", sigma, *SIGMAS)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    draws = _Draws(source, count, FORM + images.shape[1] + 1 if images.ndim == 4 else 0, kind)
    with asking(model, images, targets, targeted=targeted, max_queries=max_queries, trace=trace) as ask:
        run = _Run(ask, draws, look, sigma, children)
        run.evolve()
    ask.trace.made = tuple(run.paintings)
    return run.best


@dataclass(frozen=True)
class _Move:
    """One way to change a painting, drawn for all images alike."""

    places: tuple[int, ...]  # one shape, or two that change places
    noise: Tensor | None  # (G,), added times sigma
    fresh: Tensor  # (G,), of a new shape where there is no noise
    kind: int  # of a new shape


class _Draws:
    """All that is drawn, shared by the images."""

    def __init__(self, source: torch.Generator, count: int, genes: int, kind: str) -> None:
        self.source, self.count, self.genes = source, count, genes
        self.kinds = list(range(len(KINDS))) if kind == "mixed" else [KINDS.index(kind)]

    def first(self) -> tuple[Tensor, Tensor]:
        """Kinds (n,) and genes (n, G) of the paintings that all begin with."""
        return self._kinds(self.count), self._uniform(self.count, self.genes)

    def move(self) -> _Move:
        """What the next child changes."""
        what, where, other = self._uniform(3).tolist()
        place = min(int(where * self.count), self.count - 1)
        kind, fresh = int(self._kinds(1)), self._uniform(self.genes)
        noise = torch.randn(self.genes, generator=self.source, device=self.source.device)
        if what < CHANGED or (self.count == 1 and what >= CHANGED + REPLACED):
            return _Move((place,), noise, fresh, kind)
        if what < CHANGED + REPLACED:
            return _Move((place,), None, fresh, kind)
        step = 1 + min(int(other * (self.count - 1)), self.count - 2)
        return _Move((place, (place + step) % self.count), None, fresh, kind)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.source, device=self.source.device)

    def _kinds(self, count: int) -> Tensor:
        drawn = torch.randint(len(self.kinds), (count,), generator=self.source, device=self.source.device)
        return torch.tensor(self.kinds, device=self.source.device)[drawn]


class _Run:
    """The images of one attack and their paintings."""

    def __init__(self, ask: Asking, draws: _Draws, look: Look, sigma: float, children: int) -> None:
        self.ask, self.draws, self.look, self.children = ask, draws, look, children
        self.best = ask.images.clone()
        self.paintings = [Painting((), look.mode, look.epsilon)] * len(ask.images)
        self.rows = torch.arange(len(ask.images), device=ask.images.device)  # (m,), still attacked
        self.sigma = ask.images.new_full((len(ask.images),), sigma)
        self.clean = self.fitness = ask.images.new_zeros(len(ask.images))

    def evolve(self) -> None:
        """Look at the clean images, paint, and go on until all is done or spent."""
        self.clean, hits = self._asked(self.ask.images, 1, None)
        self._only((~hits[0]).nonzero()[:, 0])
        self.clean = self.clean[0]
        if not len(self.rows) or self.look.epsilon == 0 or not self._left():
            return
        images = self.ask.images[self.rows]
        kinds, genes = (part.to(images.device).expand(len(images), *part.shape) for part in self.draws.first())
        self.layers = Layers(images, kinds, genes.to(images.dtype), self.look)
        found, hits = self._asked(self.layers.pictures(torch.arange(len(images), device=images.device)), 1, None)
        self.fitness = found[0]
        with progress("evolving", self._left()) as done:
            self._settle(hits[0])
            while len(self.rows) and (left := self._left()):
                count = min(self.children, left)
                self._generation(count)
                done(count)
        self._finish(self.fitness > self.clean)

    def _generation(self, count: int) -> None:
        """So many children of each painting; the best takes its parent's place unless it is worse."""
        children = [self._child(self.draws.move()) for _ in range(count)]
        found, hits = self._asked(
            self.layers.images,
            count,
            lambda _some, numbers, rows: torch.stack(
                [self.layers.pictures(rows, children[number][rows]) for number in numbers.tolist()]
            ),
        )
        found = torch.where(hits, found.clamp(min=TIE), found)
        value, winner = found.max(dim=0)  # (m,)
        taken = value >= self.fitness - TIE
        for number, child in enumerate(children):
            rows = (taken & (winner == number)).nonzero()[:, 0]
            if len(rows):
                self.layers.take(child[rows], rows)
        scale = torch.where(value > self.fitness + TIE, GROWN, SHRUNK).to(self.sigma)
        self.sigma = (self.sigma * scale).clamp(*SIGMAS)
        self.fitness = self.fitness.maximum(value)
        self.ask.trace.iterations[self.rows.cpu()] += 1
        self.ask.trace.note(self.rows, self.fitness)
        self._settle(hits.gather(0, winner[None])[0] & taken)

    def _child(self, move: _Move) -> Child:
        """Every painting (m, ...) with this change."""
        kinds, genes = self.layers.kinds.clone(), self.layers.genes.clone()
        place, swapped = move.places[0], move.places[::-1]
        if len(swapped) == 2:
            kinds[:, move.places], genes[:, move.places] = kinds[:, swapped], genes[:, swapped]
        elif move.noise is None:
            kinds[:, place], genes[:, place] = move.kind, move.fresh.to(genes)
        else:
            moved = genes[:, place] + self.sigma[:, None] * move.noise.to(genes)
            genes[:, place] = moved.clamp(0, 1)
            genes[:, place, WRAPPED] = moved[:, WRAPPED] % 1
        return Child(kinds, genes, move.places)

    def _asked(self, images: Tensor, count: int, vary: Vary | None) -> tuple[Tensor, Tensor]:
        """How far ahead the wrong class is, (count, m), in log probability, and which have succeeded."""
        logits = self.ask.logits(images, self.rows, count, vary)
        targets = self.ask.targets[self.rows]
        leads = torch.stack([lead(one, targets, targeted=self.ask.targeted) for one in logits]).to(self.best)
        return leads, torch.stack([self.ask.hits(one, self.rows) for one in logits])

    def _left(self) -> int:
        """Queries that each image may still cost."""
        return int(self.ask.left(self.rows).min())

    def _settle(self, hits: Tensor) -> None:
        """Keep what has succeeded, and go on without it."""
        if bool(hits.any()):
            self._finish(hits)
            stay = (~hits).nonzero()[:, 0]
            self.layers.keep(stay)
            self._only(stay)

    def _finish(self, chosen: Tensor) -> None:
        """What the chosen (m,), bool, come to."""
        rows = chosen.nonzero()[:, 0]
        self.best[self.rows[rows]] = self.layers.pictures(rows)
        for row, painting in zip(rows.tolist(), self.layers.paintings(rows.tolist()), strict=True):
            self.paintings[int(self.rows[row])] = painting

    def _only(self, stay: Tensor) -> None:
        self.rows, self.sigma = self.rows[stay], self.sigma[stay]
        self.fitness, self.clean = self.fitness[stay], self.clean[..., stay]
