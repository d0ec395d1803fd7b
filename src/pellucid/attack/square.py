"""Square: squares of colour at random places, kept where the answers get worse.

M. Andriushchenko, F. Croce, N. Flammarion, M. Hein, "Square Attack: a Query-Efficient Black-Box Adversarial Attack via
Random Search", ECCV 2020, algorithms 1 to 3. https://arxiv.org/abs/1912.00049
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from pellucid.checks import check_choice
from pellucid.progress import steps as progress

from ._asking import Asking, BlackBox, asking
from ._balls import projected, sizes, within
from ._question import check_epsilon, lead
from .trace import Trace

NORMS = ("linf", "l2")

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Steps, of 10,000, after each of which the squares take half the area; stretched or shrunk to the queries allowed."""

TILES = 5
"""Tiles along an image's shorter side that an l2 search begins with."""


def square(
    model: BlackBox,
    images: Tensor,
    targets: Tensor,
    *,
    epsilon: float = 8 / 255,
    norm: str = "linf",
    max_queries: int = 5000,
    p_init: float = 0.8,
    targeted: bool = False,
    generator: torch.Generator | None = None,
    trace: Trace | None = None,
) -> Tensor:
    """Paint squares at random places to the ball's surface, and keep each that brings the image nearer to success.

    What is minimised is the lead of the true class in logits; with targeted the cross-entropy of the target. An image
    that is misclassified already (or called the target already) is returned as it is; where nothing succeeds, the
    best image met. All images share the draws, so that none depends on the others.

    Args:
        model: a black box: maps (n, C, H, W) in [0, 1] to logits or probabilities (n, K); a Query counts and caps.
        images: (N, C, H, W), float32 or float64, in [0, 1].
        targets: (N,), int64, the true classes; with targeted the classes to reach.
        epsilon: radius of the ball in image units: 8/255 for linf; about 0.5 at 32 pixels and 3 at 224 for l2.
        norm: of the change: linf or l2.
        max_queries: images that may be asked for each image, at least 1; the first is the clean one.
        p_init: share of the image the first squares cover, above 0, at most 1; 0.05 to 0.1 suits 224 pixels.
        targeted: reach the targets instead of leaving them.
        generator: of the squares, which all images share; none takes one of seed 0.
        trace: a Trace to be written into; its history is the objective, negated.

    Returns:
        (N, C, H, W), dtype and device of images, in [0, 1] and within epsilon of them.

    Raises:
        ValueError: an argument is out of its range, the box answers labels, or the model is training.
    """
    check_choice("norm", norm, NORMS)
    check_epsilon(epsilon, norm)
    if not 0 < p_init <= 1:
        raise ValueError(f"p_init must be above 0 and at most 1, got {p_init}: it is a share of the image's area")
    source = torch.Generator().manual_seed(0) if generator is None else generator
    begin, change = (_stripes, _recoloured) if norm == "linf" else (_tiles, _moved)
    with (
        asking(model, images, targets, targeted=targeted, max_queries=max_queries, trace=trace) as ask,
        progress("attacking", ask.most) as done,
    ):
        search = _Search(ask)
        for step in range(-1, ask.most - 2 if epsilon > 0 else -1):  # the clean image was asked, the start is step -1
            if not len(search.rows):
                break
            if step < 0:
                search.offer(begin(search.clean, epsilon, source), is_start=True)
            else:
                side = _side(p_init, step / ask.most, search.clean.shape, norm)
                search.offer(change(search.clean, search.now, side, epsilon, source))
            done(1)
        return search.result()


@dataclass
class _Search:
    """The images still searched, each with the best change so far; those that have succeeded leave."""

    ask: Asking

    def __post_init__(self) -> None:
        self.best = self.ask.images.clone()  # (N, C, H, W)
        self.rows = torch.arange(len(self.best), device=self.best.device)  # (n,), places of those still searched
        self.clean = self.now = self.ask.images  # (n, C, H, W)
        logits = self.ask.logits(self.best, self.rows)[0]
        self.losses = self.clean_losses = self._losses(logits)  # (n,)
        self._leave(self.ask.hits(logits, self.rows))

    def offer(self, candidates: Tensor, *, is_start: bool = False) -> None:
        """Ask one candidate of each image (n, C, H, W); keep those that are better."""
        logits = self.ask.logits(candidates, self.rows)[0]
        losses, hit = self._losses(logits), self.ask.hits(logits, self.rows)
        better = hit | (losses < self.losses) | is_start
        self.now = torch.where(better[:, None, None, None], candidates, self.now)
        self.losses = torch.where(better, losses, self.losses)
        self.ask.trace.iterations[self.rows.cpu()] += 1
        self.ask.trace.note(self.rows, -self.losses)
        self._leave(hit)

    def result(self) -> Tensor:
        """The images (N, C, H, W): where nothing succeeded the best, and where nothing helped the clean one."""
        helped = (self.losses < self.clean_losses)[:, None, None, None]
        self.best[self.rows] = torch.where(helped, self.now, self.clean)
        return self.best

    def _losses(self, logits: Tensor) -> Tensor:
        """(n,), lower the nearer to success; of log probabilities, whose differences are the logits'."""
        own = self.ask.targets[self.rows]
        return -logits.gather(1, own[:, None])[:, 0] if self.ask.targeted else -lead(logits, own, targeted=False)

    def _leave(self, hit: Tensor) -> None:
        if bool(hit.any()):
            self.best[self.rows[hit]] = self.now[hit]
            self.rows, self.clean, self.now = self.rows[~hit], self.clean[~hit], self.now[~hit]
            self.losses, self.clean_losses = self.losses[~hit], self.clean_losses[~hit]


def _side(p_init: float, progress: float, shape: torch.Size, norm: str) -> int:
    """Side of a square in pixels after this share of the queries; for l2 odd and at least 3, where that fits."""
    height, width = shape[-2:]
    halvings = sum(10_000 * progress > step for step in HALVINGS)
    side = max(1, round(math.sqrt(p_init / 2**halvings * height * width)))
    most = min(height, width)
    if norm == "l2":
        side = max(3, side + 1 - side % 2)
        most = max(1, most - 1 + most % 2)
    return min(side, most)


def _stripes(clean: Tensor, epsilon: float, source: torch.Generator) -> Tensor:
    """Columns one pixel wide, each at one of the two ends of the ball, by channel."""
    return (clean + epsilon * _signs(clean, 1, clean.shape[3], source)).clamp(0, 1)


def _recoloured(clean: Tensor, now: Tensor, side: int, epsilon: float, source: torch.Generator) -> Tensor:
    """A square anew at one of the two ends of the ball, by channel."""
    rows, columns = _window(clean.shape, side, source)
    candidates = now.clone()
    colour = epsilon * _signs(clean, 1, 1, source)
    candidates[..., rows, columns] = (clean[..., rows, columns] + colour).clamp(0, 1)
    return candidates


def _tiles(clean: Tensor, epsilon: float, source: torch.Generator) -> Tensor:
    """Tiles all over the image, each a bump with random signs by channel, together as long as epsilon."""
    height, width = clean.shape[-2:]
    side = max(1, min(height, width) // TILES)
    change = torch.zeros_like(clean[:1])
    for top in range(height % side // 2, height - side + 1, side):
        for left in range(width % side // 2, width - side + 1, side):
            bump = _bump(side, _coin(source)).to(clean) * _signs(clean, 1, 1, source)
            change[..., top : top + side, left : left + side] = bump
    return (clean + change * (epsilon / sizes(change, "l2"))).clamp(0, 1)


def _moved(clean: Tensor, now: Tensor, side: int, epsilon: float, source: torch.Generator) -> Tensor:
    """What is spent in two squares, and what is left of epsilon, spent in the first on a new bump upon the old."""
    first, second = _window(clean.shape, side, source), _window(clean.shape, side, source)
    bump = _bump(side, _coin(source)).to(clean) * _signs(clean, 1, 1, source)  # (1, C, side, side)
    change = now - clean
    left = (epsilon**2 - change.square().sum(dim=(1, 2, 3))).clamp(min=0) / clean.shape[1]  # (n,), for each channel
    old = change[..., first[0], first[1]].clone()
    spent = old.square().sum(dim=(2, 3))  # (n, C)
    change[..., first[0], first[1]] = 0
    spent += change[..., second[0], second[1]].square().sum(dim=(2, 3))  # what both squares hold counts once
    change[..., second[0], second[1]] = 0
    new = bump + old / _lengths(old)
    change[..., first[0], first[1]] = new / _lengths(new) * (spent + left[:, None]).sqrt()[:, :, None, None]
    return within(clean, clean + projected(change, epsilon, "l2"), epsilon, "l2")


def _lengths(windows: Tensor) -> Tensor:
    """Length of each channel (n, C, 1, 1), above 0."""
    return windows.square().sum(dim=(2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def _window(shape: torch.Size, side: int, source: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square anywhere in the image."""
    top, left = (
        int(torch.randint(length - side + 1, (), generator=source, device=source.device)) for length in shape[-2:]
    )
    return slice(top, top + side), slice(left, left + side)


def _signs(like: Tensor, height: int, width: int, source: torch.Generator) -> Tensor:
    """(1, C, height, width) of -1 and 1, which all images share."""
    shape = (1, like.shape[1], height, width)
    return (2 * torch.randint(2, shape, generator=source, device=source.device) - 1).to(like)


def _coin(source: torch.Generator) -> bool:
    return bool(torch.randint(2, (), generator=source, device=source.device))


@cache
def _bump(side: int, is_transposed: bool) -> Tensor:
    """A hill and a hollow side by side, (side, side), of length 1; equation 2 of the paper."""
    bump = torch.cat([_hill(side // 2, side), -_hill(side - side // 2, side)])
    bump = bump / bump.square().sum().sqrt()
    return bump.T if is_transposed else bump


def _hill(height: int, width: int) -> Tensor:
    """(height, width): the sum of 1 / (k + 1)^2 over k from the distance to the middle on, rings being squares."""
    down, across = ((torch.arange(length) - length // 2).abs() for length in (height, width))
    rings = 1 / torch.arange(1, max(height, width) // 2 + 2, dtype=torch.float64).square()
    sums: Tensor = rings.flip(0).cumsum(0).flip(0)
    return sums[torch.maximum(down[:, None], across[None])]
