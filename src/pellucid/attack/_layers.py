"""The paintings of many images in the course of their evolution, kept in layers: a change is painted from its place up.

Each shape is a row of genes, all in [0, 1]: x, y, a size, three more of its form, C of its colour, its opacity.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_range

from ._painting import FORM, KINDS, MODES, Painting, Shape, begun, blended, coverage, finished
from ._question import check_epsilon

WRAPPED = (4, 5)
"""Genes that are angles, which go round instead of ending."""

EVERY = 8
"""Layers between two canvases that are kept: all would take three times the memory, and save four layers a change."""

LENGTH = {"circle": 3, "triangle": 6, "rectangle": 5, "stroke": 5}
"""Numbers in a form."""


@dataclass(frozen=True)
class Look:
    """What is common to all shapes; the docstring of `shapes` tells each."""

    mode: str
    epsilon: float | None
    opacity: float
    smallest: float
    largest: float

    def check(self) -> None:
        """Refuse what is out of range."""
        check_choice("mode", self.mode, MODES)
        check_epsilon(self.epsilon)
        if self.epsilon is None and self.mode == "noise":
            raise ValueError("epsilon must be a number for noise, got None: take mode='overlay' to set no bound")
        check_range("opacity", self.opacity, 0, 1)
        check_range("largest", self.largest, 0, 1)
        if not 0 < self.smallest <= self.largest:
            raise ValueError(f"smallest must be above 0 and at most largest, {self.largest}, got {self.smallest}")


@dataclass(frozen=True)
class Child:
    """All shapes of each image's painting, some of them changed: at the same places in all."""

    kinds: Tensor  # (m, n), int64, places in KINDS
    genes: Tensor  # (m, n, G)
    places: tuple[int, ...]  # changed

    def __getitem__(self, rows: Tensor) -> "Child":
        return Child(self.kinds[rows], self.genes[rows], self.places)


class Layers:
    """One painting for each of m images.

    Args:
        images: (m, C, H, W), clean.
        kinds: (m, n), int64.
        genes: (m, n, G).
        look: what is common to all.
    """

    def __init__(self, images: Tensor, kinds: Tensor, genes: Tensor, look: Look) -> None:
        self.images, self.kinds, self.genes, self.look = images, kinds.clone(), genes.clone(), look
        count = genes.shape[1]
        self.alphas = images.new_empty(count, len(images), *images.shape[2:])
        self.marks = images.new_empty(-(-count // EVERY), *images.shape)  # the canvas below layers 0, EVERY, ...
        self.marks[0] = begun(images, look.mode)
        self.take(Child(kinds, genes, tuple(range(count))), torch.arange(len(images), device=images.device))

    def __len__(self) -> int:
        return len(self.images)

    def pictures(self, rows: Tensor, child: Child | None = None) -> Tensor:
        """The images (r, C, H, W) as the paintings of these rows change them, or as a child's (r, ...) would."""
        child = child or Child(self.kinds[rows], self.genes[rows], ())
        canvas = self._painted(rows, child, self._alphas_of(child))
        return finished(self.images[_stretch(rows)], canvas, self.look.mode, self.look.epsilon)

    def take(self, child: Child, rows: Tensor) -> None:
        """Put a child's (r, ...) paintings in the place of these rows'."""
        self.kinds[rows], self.genes[rows] = child.kinds, child.genes
        alphas = self._alphas_of(child)
        for place, alpha in alphas.items():
            self.alphas[place, rows] = alpha
        self._painted(rows, child, alphas, keep=True)

    def keep(self, rows: Tensor) -> None:
        """Go on with these alone."""
        self.images, self.kinds, self.genes = self.images[rows], self.kinds[rows], self.genes[rows]
        self.alphas, self.marks = self.alphas[:, rows], self.marks[:, rows]

    def paintings(self, rows: Iterable[int]) -> list[Painting]:
        """The paintings of these rows, as what they leave behind."""
        forms = self._forms(self.kinds, self.genes).double().cpu()
        genes, kinds = self.genes.cpu(), self.kinds.tolist()
        return [
            Painting(
                tuple(self._shape(KINDS[kinds[row][i]], forms[row, i], genes[row, i]) for i in range(genes.shape[1])),
                self.look.mode,
                self.look.epsilon,
            )
            for row in rows
        ]

    def _shape(self, kind: str, form: Tensor, genes: Tensor) -> Shape:
        colour, opacity = tuple(genes[FORM:-1].tolist()), self.look.opacity * float(genes[-1])
        return Shape(kind, tuple(form[: LENGTH[kind]].tolist()), colour, opacity)

    def _alphas_of(self, child: Child) -> dict[int, Tensor]:
        """Alpha (r, H, W) of the changed layers, by place."""
        found = {}
        for place in child.places:
            kinds, genes = child.kinds[:, place], child.genes[:, place]
            covered = coverage(kinds, self._forms(kinds, genes), *self.images.shape[2:])
            found[place] = covered * (self.look.opacity * genes[:, -1])[:, None, None]
        return found

    def _painted(self, rows: Tensor, child: Child, alphas: dict[int, Tensor], *, keep: bool = False) -> Tensor:
        """The canvas (r, C, H, W) with all layers, painted from the kept one that lies below the changes."""
        count = len(self.alphas)
        first = min(child.places, default=count - 1) // EVERY
        part = _stretch(rows)
        canvas = self.marks[first, part]
        for place in range(first * EVERY, count):
            if keep and place % EVERY == 0 and place > first * EVERY:
                self.marks[place // EVERY, rows] = canvas
            alpha = alphas[place] if place in alphas else self.alphas[place, part]
            canvas = blended(canvas, alpha, child.genes[:, place, FORM:-1])
        return canvas

    def _forms(self, kinds: Tensor, genes: Tensor) -> Tensor:
        """What the genes (..., G) mean, (..., 6): the form that a Shape tells.

        A triangle is drawn from the circle through its corners, which is its size, and the three angles on it.
        """
        height, width = self.images.shape[2:]
        low, span = self.look.smallest, self.look.largest - self.look.smallest
        side = genes.new_tensor([min(height, width) / width, min(height, width) / height])
        centre, size = genes[..., :2], low + span * genes[..., 2:3]
        zero = torch.zeros_like(size)
        turn = torch.pi * genes[..., 4:5]
        circle = torch.cat([centre, size, zero, zero, zero], dim=-1)
        corners = [centre + size * side * _towards(2 * torch.pi * genes[..., i : i + 1]) for i in (3, 4, 5)]
        rectangle = torch.cat([centre, size, low + span * genes[..., 3:4], turn, zero], dim=-1)
        half, width_ = size / 2 * side * _towards(turn), low + max(0.0, self.look.largest / 5 - low) * genes[..., 3:4]
        stroke = torch.cat([centre - half, centre + half, width_, zero], dim=-1)
        every = torch.stack([circle, torch.cat(corners, dim=-1), rectangle, stroke])  # (4, ..., 6)
        return every.gather(0, kinds[None, ..., None].expand(1, *genes.shape[:-1], FORM))[0]


def _stretch(rows: Tensor) -> Tensor | slice:
    """The same rows as a slice, which copies nothing, if they follow each other."""
    first, count = (int(rows[0]), len(rows)) if len(rows) else (0, 0)
    return slice(first, first + count) if rows.tolist() == list(range(first, first + count)) else rows


def _towards(angle: Tensor) -> Tensor:
    """Unit vectors (..., 2) of angles (..., 1)."""
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
