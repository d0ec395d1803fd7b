"""All walks of one latent attack: where each begins, and what each leaves behind."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from ._asking import Asking
from ._latents import Latents, root_mean_square, similarity
from ._walk import Kept, Steps, Walker, are_wanted, is_allowed, labels

FRAMES = 8
"""Images of the strip that tells a walk."""

NEAREST = 50
"""Images that are tried as a start, nearest first, before latents are drawn."""


@dataclass(frozen=True)
class Walk:
    """How one image was attacked: from `start`, of the wanted class, towards `source`, the image's own latent."""

    source: Tensor  # (D,)
    start: (
        Tensor | None
    )  # (D,); None where there was no walk: the source itself is called as wanted, or nothing was left
    latent: Tensor | None  # (D,), whose image was returned; None where the image itself was
    distance: float  # from latent to source, in the distance asked for; infinite without a latent
    queries: tuple[int, ...]  # asked by the time of each of the distances
    distances: tuple[float, ...]  # least so far, whatever epsilon: never rises
    reconstruction: float  # root mean square difference of the source's image from the image, in image units
    is_faithful: bool  # whether the source's image is called as the image is
    l2: float  # of the change, in image units
    similarity: float  # structural similarity of what was returned to the image, 1 for equal ones
    strip: Tensor  # (S, C, H, W), from the start's image to the last, at most 8; the source's image without a walk


class Walks:
    """The images of one attack, as latents.

    Args:
        ask: the questions.
        space: how a latent becomes an image.
        vectors: (N + M, D), of the images, and of M more to start from if they were given.
        clean: (N,), what the images are called.
        how: to walk.
    """

    def __init__(self, ask: Asking, space: Latents, vectors: Tensor, clean: Tensor, how: Steps) -> None:
        self.ask, self.space, self.clean, self.how = ask, space, clean, how
        self.sources, self.more = vectors[: len(clean)], vectors[len(clean) :]

    def attack(self, rows: Tensor, search: int, generator: torch.Generator) -> Tensor:
        """The images (N, C, H, W), those in these places (n,) attacked."""
        called = labels(self.ask, self.space, self.sources[None, rows], rows)[0]
        is_faithful = called == self.clean[rows]
        if not bool(is_faithful.all()):
            warnings.warn(
                f"{int((~is_faithful).sum())} of {len(rows)} images change their class by becoming a latent: the "
                "decoder cannot make them, so a walk tells little (give a better decoder, or a larger size)",
                stacklevel=3,
            )
        is_there = are_wanted(self.ask, called, rows)
        starts, has_start = self._starts(rows[~is_there], search, generator)
        walking = rows[~is_there][has_start]
        walker = Walker(self.ask, self.space, self.sources, self.how)
        walker.walk(walking, starts[has_start], generator)
        there = rows[is_there]
        there = there[is_allowed(self.ask, self.space, self.sources[there], there, self.how.epsilon)]
        walker.least[there] = 0.0
        found = (walker.least < torch.inf).nonzero()[:, 0]
        made = self.ask.images.clone()
        if len(found):
            made[found] = self.space.decode(walker.best[found])
        begun = dict(zip(walking.tolist(), starts[has_start], strict=True))
        self._tell(rows, is_faithful, made, walker, begun)
        return made

    def _starts(self, rows: Tensor, search: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Of these images (n,) a latent (n, D) called as wanted, the nearest there is, and which have one (n,).

        Raises:
            ValueError: an image has none, although it may still be asked about.
        """
        found, has_one = self.sources[rows].clone(), torch.zeros_like(rows, dtype=torch.bool)
        called = self.clean[rows].clone()  # of the last that was tried
        pool = self.more if len(self.more) else self.sources
        away = torch.cdist(self.sources[rows], pool)  # (n, M)
        if not len(self.more):
            own, wanted = self.clean[None, :], self.ask.targets[rows, None]
            away = away.masked_fill(own != wanted if self.ask.targeted else own == wanted, torch.inf)
        order = away.argsort(dim=1)
        for rank in range(min(NEAREST, len(pool))):
            near = order[:, rank]
            is_open = ~has_one & (away.gather(1, near[:, None])[:, 0] < torch.inf) & (self.ask.left(rows) > 0)
            some = is_open.nonzero()[:, 0]
            if not len(some):
                break
            tried = pool[near[some]]
            called[some] = labels(self.ask, self.space, tried[None], rows[some])[0]
            hit = are_wanted(self.ask, called[some], rows[some])
            found[some[hit]], has_one[some[hit]] = tried[hit], True
        self._search(rows, search, generator, found, has_one)
        lost = (~has_one & (self.ask.left(rows) > 0)).nonzero()[:, 0]
        if len(lost):
            kind = "the target's class" if self.ask.targeted else "another class"
            raise ValueError(
                f"there is no image of {kind} to walk from to image {int(rows[lost[0]])} (the last one tried is called "
                f"{int(called[lost[0]])}): give start=images of it that the decoder makes well, or more search"
            )
        return found, has_one

    def _search(self, rows: Tensor, count: int, generator: torch.Generator, found: Tensor, has_one: Tensor) -> None:
        """Draw latents for the images that have no start, and take the nearest that is called as wanted."""
        drawn = torch.randn(count, found.shape[1], generator=generator, device=generator.device).to(found)  # (s, D)
        counts = self.ask.left(rows).clamp(max=count) * ~has_one
        for some in sorted(set(counts[counts > 0].tolist())):
            places = (counts == some).nonzero()[:, 0]
            tried = drawn[:some, None].expand(-1, len(places), -1)  # (s, r, D)
            hit = are_wanted(self.ask, labels(self.ask, self.space, tried, rows[places]), rows[places])
            away = torch.cdist(drawn[:some], self.sources[rows[places]]).masked_fill(~hit, torch.inf)  # (s, r)
            least, nearest = away.min(dim=0)
            good = least < torch.inf
            found[places[good]], has_one[places[good]] = drawn[nearest[good]], True

    def _tell(self, rows: Tensor, is_faithful: Tensor, made: Tensor, walker: Walker, begun: dict[int, Tensor]) -> None:
        """Write each image's Walk into the trace."""
        images = self.ask.images
        missed = root_mean_square(self.space.decode(self.sources[rows]) - images[rows]).tolist()
        changes, alike = (made - images).flatten(1).norm(dim=1).tolist(), similarity(images, made).tolist()
        told: list[Walk | None] = list(self.ask.trace.made)
        for row, miss, is_kept in zip(rows.tolist(), missed, is_faithful.tolist(), strict=True):
            kept, least = walker.kept.get(row, Kept()), float(walker.least[row])
            told[row] = Walk(
                source=self.sources[row],
                start=begun.get(row),
                latent=walker.best[row] if least < torch.inf else None,
                distance=least,
                queries=tuple(kept.queries),
                distances=tuple(kept.distances),
                reconstruction=miss,
                is_faithful=is_kept,
                l2=changes[row],
                similarity=alike[row],
                strip=self.space.decode(_spaced(kept.path or [self.sources[row]])),
            )
        self.ask.trace.made = tuple(told)


def _spaced(path: list[Tensor]) -> Tensor:
    """A few latents (S, D) of a path, evenly spaced, the first and the last among them."""
    places = torch.linspace(0, len(path) - 1, min(FRAMES, len(path))).round().int().tolist()
    return torch.stack([path[place] for place in places])
