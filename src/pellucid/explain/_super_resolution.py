"""One sharp map from many coarse ones: the objective of Augmented Grad-CAM, and four ways down it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Advance: TypeAlias = Callable[[Tensor, Tensor, int], Tensor]
"""(h, the slope of the objective's smooth part at h, number of the step) -> the next h."""

SOLVERS = ("primal_dual", "subgradient", "constant", "adam")

POWER_STEPS = 15
"""Of the power iteration; it starts at the all-ones map, which is near the answer, as no weight is negative."""

WHOLE = 0.999
"""The share of a position within the image from which it counts as wholly inside."""


@dataclass(frozen=True)
class Joined:
    """The objective sum_l |D A_l h - g_l|^2 / 2 + smooth * TV(h) + ridge * |h|^2 / 2 of a map h (H, W)."""

    places: Tensor  # (P, H, W, 2): A_l, where each view looks in the image
    goals: Tensor  # (P, h, w): g_l
    rows: Tensor  # (h, H): D, over the rows
    columns: Tensor  # (w, W): and over the columns
    smooth: float
    ridge: float
    inside: bool  # leave out what shows something from beyond the edge

    def seen(self, h: Tensor) -> Tensor:
        """D A_l h for every view, (P, h, w)."""
        count, height, width, _ = self.places.shape
        tall = self.places.reshape(1, count * height, width, 2)  # one large picture: h is not copied for each view
        views = F.grid_sample(h[None, None], tall, align_corners=False).view(count, height, width)
        return self.rows @ (views @ self.columns.T)

    def counted(self) -> Tensor:
        """The positions that count, (P, h, w), 0 or 1."""
        if not self.inside:
            return torch.ones_like(self.goals)
        return (self.seen(torch.ones_like(self.places[0, ..., 0])) > WHOLE).to(self.goals)

    def smooth_part(self, h: Tensor, goals: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """The objective without TV, and its slope (H, W)."""
        with torch.enable_grad():
            at = h.detach().requires_grad_()
            value = ((self.seen(at) - goals) * counted).square().sum() / 2 + self.ridge / 2 * at.square().sum()
            (slope,) = torch.autograd.grad(value, at)
        return value.detach(), slope

    def steepest(self, counted: Tensor) -> float:
        """The largest curvature of the smooth part, by power iteration."""
        h = torch.ones_like(self.places[0, ..., 0])
        norm = h.new_ones(())
        for _ in range(POWER_STEPS):
            h = self.smooth_part(h, torch.zeros_like(self.goals), counted)[1]
            norm = h.norm()
            h = h / norm.clamp(min=1e-30)
        return norm.item()


def solve(joined: Joined, first: Tensor, iterations: int, solver: str, nonnegative: bool) -> tuple[Tensor, Tensor]:
    """The best of the iterates from `first` on, (H, W), and the objective at each, (iterations + 1,)."""
    counted = joined.counted()
    low = 0.0 if nonnegative else -torch.inf
    advance = _solver(joined, solver, joined.steepest(counted) if iterations else 1.0, low)
    h = best = first
    least = first.new_full((), torch.inf)
    trace: list[Tensor] = []
    for number in range(iterations + 1):
        value, slope = joined.smooth_part(h, joined.goals, counted)
        value = value + joined.smooth * total_variation(h)
        best, least = torch.where(value < least, h, best), torch.minimum(value, least)
        trace.append(value)
        if number < iterations:
            h = advance(h, slope, number)
    return best, torch.stack(trace)


def total_variation(h: Tensor) -> Tensor:
    """The sum of |differences| between neighbours; nothing lies beyond the edge."""
    return h.diff(dim=0).abs().sum() + h.diff(dim=1).abs().sum()


def _solver(joined: Joined, solver: str, steepest: float, low: float) -> Advance:
    """How to get from one iterate to the next."""
    if solver == "primal_dual":
        return _primal_dual(joined.smooth, max(steepest, 1e-30), low)
    if solver == "adam":
        return _adam(joined.smooth, low)
    longest = 1 / max(steepest, 1e-30)

    def advance(h: Tensor, slope: Tensor, number: int) -> Tensor:
        length = longest if solver == "constant" else longest / (number + 1) ** 0.5
        return (h - length * _with_signs(h, slope, joined.smooth)).clamp(min=low)

    return advance


def _with_signs(h: Tensor, slope: Tensor, smooth: float) -> Tensor:
    """A sub-gradient of the whole objective; equal neighbours do not pull at each other."""
    return slope + smooth * _undiffed(h.diff(dim=0).sign(), h.diff(dim=1).sign())


def _undiffed(tall: Tensor, wide: Tensor) -> Tensor:
    """The adjoint of both differences: (H - 1, W) and (H, W - 1) to (H, W)."""
    return -F.pad(tall, (0, 0, 1, 1)).diff(dim=0) - F.pad(wide, (1, 1)).diff(dim=1)


def _primal_dual(smooth: float, steepest: float, low: float) -> Advance:
    """L. Condat, "A Primal-Dual Splitting Method ...", J. Optim. Theory Appl. 2013; https://doi.org/10.1007/s10957-012-0245-9.

    The absolute values are kept exact by a second unknown, the pull between neighbours, which never exceeds `smooth`.
    """
    rise = 2 * steepest if smooth else 0.0  # of the pull; the squared norm of both differences is at most 8
    length = 1 / (steepest + 8 * rise)
    pulls: list[Tensor] = []

    def advance(h: Tensor, slope: Tensor, _number: int) -> Tensor:
        if not pulls:
            pulls[:] = [torch.zeros_like(h[1:]), torch.zeros_like(h[:, 1:])]
        new = (h - length * (slope + _undiffed(*pulls))).clamp(min=low)
        ahead = 2 * new - h
        for axis in (0, 1):
            pulls[axis] = (pulls[axis] + rise * ahead.diff(dim=axis)).clamp(-smooth, smooth)
        return new

    return advance


def _adam(smooth: float, low: float, rate: float = 1e-3) -> Advance:
    """D. Kingma, J. Ba, "Adam", ICLR 2015, with its own defaults."""
    means: list[Tensor] = []

    def advance(h: Tensor, slope: Tensor, number: int) -> Tensor:
        slope = _with_signs(h, slope, smooth)
        first, second = means or (torch.zeros_like(h), torch.zeros_like(h))
        means[:] = [0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope.square()]
        mean, square = means[0] / (1 - 0.9 ** (number + 1)), means[1] / (1 - 0.999 ** (number + 1))
        return (h - rate * mean / (square.sqrt() + 1e-8)).clamp(min=low)

    return advance
