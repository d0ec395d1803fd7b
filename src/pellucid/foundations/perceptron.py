"""Perceptron: a line that is moved by each point on its wrong side.

F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
Psychological Review 65, 1958. https://doi.org/10.1037/h0042519
A. Novikoff, "On convergence proofs on perceptrons", Symposium on the Mathematical Theory of Automata 12, 1962: at most
(R / gamma)^2 mistakes. S. Gallant, "Perceptron-based learning algorithms", IEEE Transactions on Neural Networks 1,
1990: the pocket. https://doi.org/10.1109/72.80230
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pellucid.checks import check_choice, check_count

from .hyperplane import activation, separable

RULES = ("perceptron", "hebb")
"""Learn from mistakes only, or from every point."""


@dataclass(frozen=True)
class Visit:
    """One point looked at."""

    epoch: int  # from 0
    index: int  # of the point
    activation: float  # w0 + w·x before the step
    is_mistake: bool  # target times activation is not above zero
    weights: Tensor  # (d + 1,), w0 first, after the step


class Perceptron:
    """One unit, sign(w0 + w·x), that learns a hyperplane from zero, point by point: w += eta t x, w0 += eta t.

    Every step is one of stochastic gradient descent on D(w) = -sum of t (w0 + w·x) over the mistakes; sign itself has
    no useful derivative, and D is the distance to the hyperplane only up to the factor ||w||.

    Args:
        rule: perceptron (steps at mistakes, t·a <= 0, only) or hebb (steps at every point, asking no question).
        eta: length of a step, above 0; from zero weights it scales them and changes no prediction.
        epochs: passes over the points at most, at least 1; the perceptron rule ends after one without a mistake.
        pocket: keep the weights that had the fewest mistakes on all points so far, for sets no line parts.
        shuffle: visit the points in a new random order each epoch.

    After `fit`: weights_ (d + 1,), w0 first; mistakes_, for each epoch the visits that were one; path_ (U + 1, d + 1),
    the weights from zero on after each of U steps; errors_, the points on the wrong side of weights_; is_separated_;
    notes_, sentences about the targets and the end.
    """

    def __init__(
        self,
        *,
        rule: str = "perceptron",
        eta: float = 1.0,
        epochs: int = 100,
        pocket: bool = False,
        shuffle: bool = False,
    ) -> None:
        self.rule, self.eta, self.epochs, self.pocket, self.shuffle = rule, eta, epochs, pocket, shuffle

    def fit(self, points: Tensor, targets: Tensor, *, generator: torch.Generator | None = None) -> Self:
        """Learn from points (N, d), float, with targets (N,) in {-1, +1} or {0, 1}.

        Raises:
            ValueError: other targets, points that are not finite, an option out of its range.
        """
        signs, notes = _signs(points, targets)
        best = points.new_zeros(points.shape[1] + 1)
        fewest, path = len(points) + 1, [best]
        mistakes: list[int] = []
        for visit in self.visits(points, targets, generator=generator):
            if visit.epoch == len(mistakes):
                mistakes.append(0)
            mistakes[-1] += visit.is_mistake
            if visit.is_mistake or self.rule == "hebb":
                path.append(visit.weights)
                wrong = _errors(visit.weights, points, signs) if self.pocket else 0
                if not self.pocket or wrong < fewest:
                    fewest, best = wrong, visit.weights
        self.weights_ = best
        self.mistakes_ = tuple(mistakes)
        self.path_ = torch.stack(path)  # (U + 1, d + 1)
        self.errors_ = _errors(self.weights_, points, signs)
        self.is_separated_ = self.errors_ == 0
        self.notes_ = (*notes, *_ending(self.errors_, len(mistakes), points, signs, self.rule))
        return self

    def visits(self, points: Tensor, targets: Tensor, *, generator: torch.Generator | None = None) -> Iterator[Visit]:
        """The points as learning looks at them, one after the other, with what each does to the weights."""
        check_choice("rule", self.rule, RULES)
        check_count("epochs", self.epochs, 1)
        if not 0 < self.eta < math.inf:
            raise ValueError(f"eta must be above 0 and finite, got {self.eta}")
        signs, _ = _signs(points, targets)
        generator = generator or torch.Generator().manual_seed(0)
        weights = points.new_zeros(points.shape[1] + 1)
        for epoch in range(self.epochs):
            mistakes = 0
            order = torch.randperm(len(points), generator=generator) if self.shuffle else torch.arange(len(points))
            for index in order.tolist():
                excited = float(activation(weights, points[index : index + 1]))
                sign = float(signs[index])
                is_mistake = sign * excited <= 0
                if is_mistake or self.rule == "hebb":
                    weights = weights + self.eta * sign * torch.cat([points.new_ones(1), points[index]])
                mistakes += is_mistake
                yield Visit(epoch, index, excited, is_mistake, weights)
            if not mistakes and self.rule == "perceptron":
                return

    def predict(self, points: Tensor) -> Tensor:
        """The side of each point (N, d): (N,), -1 or +1, dtype of points; +1 on the hyperplane itself."""
        return torch.where(activation(self.weights_, points) >= 0, 1, -1).to(points)


def criterion(weights: Tensor, points: Tensor, targets: Tensor) -> Tensor:
    """What the perceptron rule descends: D(w) = -sum of t (w0 + w·x) over the points with t (w0 + w·x) <= 0.

    Args:
        weights: (d + 1,), w0 first.
        points: (N, d).
        targets: (N,), -1 or +1.

    Returns:
        A number, at least 0; in units of activation.
    """
    excited = targets * activation(weights, points)  # (N,)
    return -excited[excited <= 0].sum()


def mistake_bound(points: Tensor, targets: Tensor, weights: Tensor) -> float:
    """No run on these points makes more mistakes than (R / gamma)^2, whatever the order.

    Args:
        points: (N, d).
        targets: (N,), -1 or +1.
        weights: (d + 1,), w0 first, of any hyperplane that separates the points: the wider, the tighter the bound.

    Returns:
        (R / gamma)^2 in the space of (1, x), in which learning takes place: R is the longest (1, x), gamma the
        smallest t (w0 + w·x) / ||(w0, w)||.
    """
    rows = torch.cat([torch.ones_like(points[:, :1]), points], dim=1)  # (N, d + 1)
    gamma = float((targets * (rows @ weights)).min() / weights.norm())
    if not gamma > 0:
        raise ValueError("weights must have every point strictly on its side, got some on the other")
    return float(rows.norm(dim=1).max()) ** 2 / gamma**2


def _signs(points: Tensor, targets: Tensor) -> tuple[Tensor, tuple[str, ...]]:
    """Targets as -1 and +1 in the dtype of the points, and what was changed about them."""
    if points.ndim != 2 or not points.is_floating_point() or not len(points) or not points.shape[1]:
        raise ValueError(f"points must be float (N, d), at least one, got {points.dtype} {tuple(points.shape)}")
    if not bool(points.isfinite().all()):
        raise ValueError("points must be finite, got NaN or infinity")
    if targets.shape != points.shape[:1]:
        raise ValueError(f"targets must have shape ({len(points)},), one for each point, got {tuple(targets.shape)}")
    found = sorted(set(targets.tolist()))
    if found == [-1, 1]:
        return targets.to(points), ()
    if found == [0, 1]:
        return 2 * targets.to(points) - 1, ("targets 0 and 1 were read as -1 and +1",)
    raise ValueError(
        f"targets must be -1 and +1 (or 0 and 1), both present, got {', '.join(f'{t:g}' for t in found[:5])}"
    )


def _errors(weights: Tensor, points: Tensor, signs: Tensor) -> int:
    return int((torch.where(activation(weights, points) >= 0, 1, -1).to(signs) != signs).sum())


def _ending(errors: int, epochs: int, points: Tensor, signs: Tensor, rule: str) -> tuple[str, ...]:
    """A sentence where points are left on the wrong side."""
    if not errors:
        return ()
    count = f"not separated after {epochs} epochs: {errors} of {len(points)} points are on the wrong side"
    if separable(points, signs):
        remedy = "take the rule perceptron" if rule == "hebb" else "give it more epochs"
        return (f"{count}; some hyperplane parts them: {remedy}",)
    return (f"{count}; no hyperplane parts them, as with XOR: one unit is not enough, two layers are",)
