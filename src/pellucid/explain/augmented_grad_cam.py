"""Augmented Grad-CAM: one sharp map that explains the coarse maps of many turned and moved views.

P. Morbidelli, D. Carrera, B. Rossi, P. Fragneto, G. Boracchi, "Augmented Grad-CAM: Heat-Maps Super Resolution Through
Augmentation", ICASSP 2020. https://doi.org/10.1109/ICASSP40776.2020.9054416
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import Targets, check_choice, check_count, check_question, check_range
from pellucid.models import Grid, Plan, is_rehearsal
from pellucid.progress import steps

from ._cam import combined, enlarged, seen_layers, weighed
from ._super_resolution import SOLVERS, Joined, solve

DOWN = ("pool", "bilinear")
STARTS = ("mean", "zero")


@dataclass(frozen=True)
class SuperResolved:
    """A sharp map, how its objective fell, and what simpler ways of joining the same views give.

    All maps are (N, H, W), in shares of a view's largest value.
    """

    heat: Tensor
    trace: Tensor  # (N, iterations + 1), the objective at each iterate, the start first; the heat is of the least
    single: Tensor  # the map of the image as it is, enlarged
    mean: Tensor  # of all views, each enlarged and turned back
    max: Tensor
    empty: Tensor  # (N,), int64: views whose map was zero and stayed so


def augmented_grad_cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    views: int = 100,
    angle: float = 0.5,
    shift: float = 30 / 224,
    smooth: float = 0.002,
    ridge: float = 1e-4,
    iterations: int = 200,
    solver: str = "primal_dual",
    start: str = "mean",
    down: str = "pool",
    nonnegative: bool = False,
    inside: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Grad-CAM at the image's own resolution, from the maps of many turned and moved views of it.

    The map h minimises sum_l |down(view_l(h)) - g_l|^2 / 2 + views * (smooth * TV(h) + ridge * |h|^2 / 2), where g_l is
    the Grad-CAM map of view l, scaled to a maximum of 1, and TV the sum of differences between neighbours. The first
    view is the image itself. The best iterate is kept. Where one position of the layer stands for many pixels, the
    published sub-gradient steps overshoot and never better the start, and Adam's are slow; hence the default solver.
    `super_resolve` also tells how the objective fell, and gives simpler ways of joining the views.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of a layer with maps, or several with commas; the deepest that suits when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        views: how many views of an image, the image itself among them, at least 1.
        angle: largest turn of a view in radians, 0 to pi.
        shift: largest move of a view along each axis, as a share of the shorter side, 0 to 1.
        smooth: weight of the differences between neighbours, for each view, at least 0.
        ridge: weight of the map's own squares, for each view, at least 0.
        iterations: of the solver, at least 0; they ask nothing of the model.
        solver: primal_dual, or the published subgradient (falling steps), constant (steps), or adam (1e-3).
        start: where the solver begins: mean (of the views, turned back) or zero.
        down: how a map is brought to the layer's size: pool (mean of the pixels of a position) or bilinear.
        nonnegative: keep the map at least 0.
        inside: compare only positions of a view that show nothing from beyond the image's edge.
        generator: source of the views; None takes one of seed 0.

    Returns:
        (N, H, W), dtype and device of images, in shares of a view's largest value. Positive: evidence for the target.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    return super_resolve(
        model,
        images,
        targets,
        layer=layer,
        grid=grid,
        views=views,
        angle=angle,
        shift=shift,
        smooth=smooth,
        ridge=ridge,
        iterations=iterations,
        solver=solver,
        start=start,
        down=down,
        nonnegative=nonnegative,
        inside=inside,
        generator=generator,
    ).heat


@torch.inference_mode(False)
@torch.no_grad()
def super_resolve(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    views: int = 100,
    angle: float = 0.5,
    shift: float = 30 / 224,
    smooth: float = 0.002,
    ridge: float = 1e-4,
    iterations: int = 200,
    solver: str = "primal_dual",
    start: str = "mean",
    down: str = "pool",
    nonnegative: bool = False,
    inside: bool = False,
    generator: torch.Generator | None = None,
) -> SuperResolved:
    """What `augmented_grad_cam` finds, from the same arguments, with how it came about and what is simpler."""
    check_question(model, images, targets)
    check_count("views", views, 1)
    check_range("angle", angle, 0, math.pi)
    check_range("shift", shift, 0, 1)
    check_range("smooth", smooth, 0)
    check_range("ridge", ridge, 0)
    check_count("iterations", iterations, 0)
    check_choice("solver", solver, SOLVERS)
    check_choice("start", start, STARTS)
    check_choice("down", down, DOWN)
    iterations = 0 if is_rehearsal() else iterations  # they ask nothing of the model, so they are no part of its cost
    wide = images.to(torch.promote_types(images.dtype, torch.float32))  # half precision cannot tell pixels apart
    turns, moves = _drawn(wide, views, angle, shift, generator)
    places = _places(turns, moves, images.shape[-2:])  # (P, H, W, 2)
    goals = _maps(model, images, targets, places, seen_layers(model, images, layer, grid))  # (P, N, h, w)
    most = goals.amax(dim=(2, 3), keepdim=True)
    goals = goals / most.where(most > 0, 1.0)
    back = _places(turns, moves, images.shape[-2:], back=True)
    rows, columns = (_mixing(*sides, down).to(wide) for sides in zip(images.shape[-2:], goals.shape[-2:], strict=True))
    found: list[list[Tensor]] = []
    with steps("augmented_grad_cam", len(images) * iterations) as done:
        for goal in goals.unbind(dim=1):  # (P, h, w)
            large = enlarged(goal, images.shape[-2:])
            turned = F.grid_sample(large[:, None], back, align_corners=False)[:, 0]  # (P, H, W)
            joined = Joined(places, goal, rows, columns, smooth * views, ridge * views, inside)
            first = turned.mean(dim=0) * (start == "mean")
            heat, trace = solve(joined, first, iterations, solver, nonnegative)
            found.append([heat, trace, large[0], turned.mean(dim=0), turned.amax(dim=0)])
            done(iterations)
    heat, trace, single, mean, largest = (torch.stack(parts).to(images) for parts in zip(*found, strict=True))
    return SuperResolved(heat, trace, single, mean, largest, (most == 0).sum(dim=(0, 2, 3)))


def _drawn(
    images: Tensor, views: int, angle: float, shift: float, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Turns (P,) in radians and moves (P, 2) in pixels, down and right; the first view is the image itself."""
    source = torch.Generator().manual_seed(0) if generator is None else generator
    drawn = 2 * torch.rand(views, 3, generator=source, device=source.device) - 1
    drawn[0] = 0
    drawn = drawn.to(images)
    return angle * drawn[:, 0], shift * min(images.shape[-2:]) * drawn[:, 1:]


def _places(turns: Tensor, moves: Tensor, sides: tuple[int, ...], *, back: bool = False) -> Tensor:
    """Where each pixel of each view lies in the image, or the reverse, as grid_sample wants it: (P, H, W, 2).

    A view is the image turned about its centre and then moved.
    """
    height, width = sides
    y = torch.arange(height).to(turns)[:, None] - (height - 1) / 2  # pixels from the centre
    x = torch.arange(width).to(turns) - (width - 1) / 2
    cos, sin = turns.cos()[:, None, None], turns.sin()[:, None, None]
    down, right = moves[:, 0, None, None], moves[:, 1, None, None]
    if back:
        x, y = cos * x - sin * y + right, sin * x + cos * y + down
    else:
        x, y = cos * (x - right) + sin * (y - down), cos * (y - down) - sin * (x - right)
    return torch.stack([2 * x / width, 2 * y / height], dim=-1)


def _maps(model: nn.Module, images: Tensor, targets: Targets, places: Tensor, at: list[tuple[str, Grid]]) -> Tensor:
    """The Grad-CAM map of every view, (P, N, h, w), at least 0."""

    def vary(some: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
        stacked = some.flatten(0, 1)[None].expand(len(numbers), -1, -1, -1)  # (p, n * C, H, W)
        views = F.grid_sample(stacked.to(places), places[numbers], align_corners=False)
        return views.view(-1, *some.shape).to(some)

    def weigh(slopes: Tensor, maps: Tensor) -> Tensor:
        return (slopes.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1).relu()  # (R, h, w)

    plan = Plan(images, len(places), vary)
    joined = combined([weighed(model, plan, targets, one, weigh).flatten(0, 1) for one in at])
    return joined.view(len(places), len(images), *joined.shape[1:]).to(places)


def _mixing(large: int, small: int, down: str) -> Tensor:
    """How each of `small` positions is mixed from `large` pixels, (small, large)."""
    unit = torch.eye(large, dtype=torch.float64)[None, None]
    if down == "pool":
        return F.adaptive_avg_pool2d(unit, (small, large))[0, 0]
    return F.interpolate(unit, (small, large), mode="bilinear", antialias=True)[0, 0]
