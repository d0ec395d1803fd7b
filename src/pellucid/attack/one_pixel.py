"""One pixel: differential evolution of the place and colour of one pixel, or of a few.

J. Su, D. V. Vargas, K. Sakurai, "One Pixel Attack for Fooling Deep Neural Networks", IEEE Transactions on Evolutionary
Computation 2019, section 3. https://arxiv.org/abs/1710.08864
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count, check_range
from pellucid.progress import steps as progress

from ._asking import Asking, BlackBox, asking
from ._pixels import ChangedPixels, drawn, inside, listed, painted
from ._question import check_epsilon
from .trace import Trace

STRATEGIES = ("rand/1", "best/1")


def one_pixel(
    model: BlackBox,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float | None = None,
    pixels: int = 1,
    population: int = 400,
    generations: int = 100,
    scale: float = 0.5,
    strategy: str = "rand/1",
    crossover: float = 1.0,
    stop_probability: float | None = None,
    is_8bit: bool = False,
    max_queries: int | None = None,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Set one pixel, or a few, to other colours: places and colours evolve by the probabilities alone.

    A child is a parent plus a scaled difference of two others, and replaces its own parent where it is no worse. An
    image that is misclassified already (or called the target already) is returned as it is; where nothing succeeds,
    the fittest candidate, and where nothing helps, the clean image. All images share the draws, so that none depends
    on the others. Beyond the paper: the pixels of a candidate never meet at one place, and the clean image is asked
    first, so that the queries of an image are 1 + population (generations + 1).

    Args:
        model: a black box: maps (n, C, H, W) in [0, 1] to logits or probabilities (n, K); a Query counts and caps.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: most a channel of a pixel may change, in image units; none allows any colour.
        pixels: pixels to be set, 1 to H W.
        population: candidates, at least 4: a child needs 3 parents besides the one it may replace.
        generations: times all candidates have a child, at least 1.
        scale: of the difference of two parents that is added to the third, above 0; the paper's F.
        strategy: rand/1 adds the difference to a random parent, best/1 to the fittest.
        crossover: chance that a gene is the new candidate's, not that of the parent it may replace; 1 is the paper.
        stop_probability: that of the label to get below (targeted: the target's, above); none stops at any success.
        is_8bit: colours are whole 255ths, which a picture file keeps.
        max_queries: images that may be asked for each image, at least 1; none allows all generations.
        targeted: reach the targets instead of leaving them.
        generator: of the evolution, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; made: a tuple of ChangedPixels, history: log probability (less the label's).

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1]; at most that many pixels differ.

    Raises:
        ValueError: an argument is out of its range, the box answers labels, or the model is training.
    """
    how = _How(epsilon, pixels, population, scale, strategy, crossover, stop_probability, is_8bit)
    how.check()
    check_count("generations", generations, 1)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    most = 1 + population * (generations + 1) if max_queries is None else max_queries
    with (
        asking(model, images, targets, targeted=targeted, max_queries=most, trace=trace) as ask,
        progress("evolving", generations + 1) as done,
    ):
        check_count("pixels", pixels, 1, math.prod(images.shape[-2:]))
        evolution = _Evolution(ask, how, source)
        for generation in range(generations + 1 if epsilon != 0 else 0):
            if not evolution.is_going_on():
                break
            evolution.begin() if generation == 0 else evolution.step()
            done(1)
        return evolution.result()


@dataclass(frozen=True)
class _How:
    """How to evolve; the docstring of `one_pixel` tells each."""

    epsilon: float | None
    pixels: int
    population: int
    scale: float
    strategy: str
    crossover: float
    stop_probability: float | None
    is_8bit: bool

    def check(self) -> None:
        """Refuse what is out of range."""
        check_epsilon(self.epsilon)
        check_count("pixels", self.pixels, 1)
        check_count("population", self.population, 1)
        if self.population < 4:
            raise ValueError(f"population must be at least 4, got {self.population}: a child needs 3 other parents")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"scale must be above 0, got {self.scale}: without a difference nothing new is made")
        check_choice("strategy", self.strategy, STRATEGIES)
        check_range("crossover", self.crossover, 0, 1)
        if self.stop_probability is not None:
            check_range("stop_probability", self.stop_probability, 0, 1)


@dataclass
class _Evolution:
    """The populations of all images; images that are done leave."""

    ask: Asking
    how: _How
    source: torch.Generator

    def __post_init__(self) -> None:
        images, how = self.ask.images, self.how
        self.rows = torch.arange(len(images), device=images.device)  # (n,), places of the images that evolve
        logits = self.ask.logits(images, self.rows)[0]
        self.found_fitness = self._fitness(logits)  # (N,), of the best candidate so far, at first the clean image
        self.found_hit = self.ask.hits(logits, self.rows)  # (N,)
        self.is_helped = torch.zeros_like(self.found_hit)  # (N,), whether a candidate was better than the clean image
        self.found = images.new_zeros(len(images), how.pixels, 2 + images.shape[1])  # (N, k, 2 + C)
        self.rows = self.rows[~self.found_hit]
        self.genes = self.found[:0, None]  # (n, P, k, 2 + C)
        self.fitness = self.found_fitness[:0, None]  # (n, P)

    def is_going_on(self) -> bool:
        """Whether an image evolves that may still be asked."""
        return len(self.rows) > 0 and self._most() > 0

    def begin(self) -> None:
        """Draw the first candidates."""
        how, images = self.how, self.ask.images
        first = drawn(how.population, how.pixels, images.shape, self.source).to(images)
        self.genes = inside(first[None], images.shape, self._draws()).expand(len(self.rows), -1, -1, -1).clone()
        self.fitness = torch.full_like(self.genes[..., 0, 0], -math.inf)
        self._select(self.genes)

    def step(self) -> None:
        """Give every candidate a child."""
        how = self.how
        parents = _others(how.population, self.source).to(self.genes.device)  # (P, 3)
        base, one, other = (self.genes[:, parents[:, place]] for place in range(3))
        if how.strategy == "best/1":
            best = self.fitness.argmax(dim=1)
            base = self.genes[torch.arange(len(best), device=best.device), best][:, None]
        children = base + how.scale * (one - other)
        if how.crossover < 1:
            children = torch.where(self._crossed().to(children.device), children, self.genes)
        self.ask.trace.iterations[self.rows.cpu()] += 1
        self._select(inside(children, self.ask.images.shape, self._draws()))

    def result(self) -> Tensor:
        """The images (N, C, H, W), each with the best candidate that was met; lists the pixels."""
        images, how = self.ask.images, self.how
        changed = painted(images, self.found[:, None], how.epsilon, is_8bit=how.is_8bit)[0]
        pixels = listed(images, self.found, how.epsilon, is_8bit=how.is_8bit)
        none = ChangedPixels(
            *(torch.zeros(0, dtype=torch.int64),) * 2, *(images.new_zeros(0, images.shape[1]).cpu(),) * 2
        )
        self.ask.trace.made = tuple(
            one if is_set else none for one, is_set in zip(pixels, self.is_helped.tolist(), strict=True)
        )
        return torch.where(self.is_helped[:, None, None, None], changed, images)

    def _most(self) -> int:
        """Candidates of each image that may be asked now."""
        return min(self.how.population, int(self.ask.left(self.rows).min()))

    def _select(self, children: Tensor) -> None:
        """Ask the children (n, P, k, 2 + C): each replaces its parent where it is no worse."""
        most, how = self._most(), self.how
        logits = self.ask.logits(
            self.ask.images[self.rows],
            self.rows,
            most,
            lambda images, numbers, places: painted(
                images, children[places[:, None], numbers], how.epsilon, is_8bit=how.is_8bit
            ),
        )  # (P, n, K)
        flat, every = logits.flatten(0, 1), self.rows.repeat(most)
        fitness = self._fitness(flat, every).view(most, -1).T  # (n, P)
        hits = self.ask.hits(flat, every).view(most, -1).T
        better = fitness >= self.fitness[:, :most]
        self.genes[:, :most] = torch.where(better[..., None, None], children[:, :most], self.genes[:, :most])
        self.fitness[:, :most] = torch.where(better, fitness, self.fitness[:, :most])
        self.ask.trace.note(self.rows, self.fitness.amax(dim=1))
        self._keep(children, fitness, hits)

    def _keep(self, children: Tensor, fitness: Tensor, hits: Tensor) -> None:
        """Note each image's best candidate, one that succeeds before any that does not; let go of what is done."""
        hit = hits.any(dim=1)
        ranked = torch.where(hits == hit[:, None], fitness, -math.inf)
        value, place = ranked.max(dim=1)
        had = self.found_hit[self.rows]
        better = (hit & ~had) | ((hit == had) & (value > self.found_fitness[self.rows]))
        rows, numbers = self.rows[better], torch.arange(len(place), device=place.device)[better]
        self.found[rows] = children[numbers, place[better]]
        self.found_fitness[rows], self.found_hit[rows], self.is_helped[rows] = value[better], hit[better], True
        stays = ~self._is_done()[self.rows]
        self.rows, self.genes, self.fitness = self.rows[stays], self.genes[stays], self.fitness[stays]

    def _is_done(self) -> Tensor:
        """(N,), bool: a candidate succeeds, and by the probability that was asked for."""
        if self.how.stop_probability is None:
            return self.found_hit
        chance = (self.found_fitness if self.ask.targeted else -self.found_fitness).exp()
        stop = self.how.stop_probability
        return self.found_hit & (chance >= stop if self.ask.targeted else chance <= stop)

    def _fitness(self, logits: Tensor, rows: Tensor | None = None) -> Tensor:
        """Log probability (R,) of the target, or less that of the label, of log probabilities (R, K)."""
        targets = self.ask.targets if rows is None else self.ask.targets[rows]
        own = logits.gather(1, targets[:, None])[:, 0]
        return own if self.ask.targeted else -own

    def _draws(self) -> Tensor:
        shape = (self.how.population, self.how.pixels)
        return torch.rand(shape, generator=self.source, device=self.source.device).to(self.ask.images)

    def _crossed(self) -> Tensor:
        """(P, k, 2 + C), bool: genes a child takes from the new candidate, at least one."""
        shape, device = self.genes.shape[1:], self.source.device
        taken = torch.rand(shape, generator=self.source, device=device) < self.how.crossover
        one = torch.randint(shape[1:].numel(), (shape[0], 1), generator=self.source, device=device)
        return taken.flatten(1).scatter(1, one, value=True).view(shape)


def _others(population: int, source: torch.Generator) -> Tensor:
    """Three places (P, 3), all different and none its own."""
    order = torch.rand(population, population, generator=source, device=source.device)
    return order.fill_diagonal_(2).topk(3, dim=1, largest=False).indices
