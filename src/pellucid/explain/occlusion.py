"""Occlusion: hide a patch, watch the score drop.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
https://arxiv.org/abs/1311.2901
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import ManyTargets, check_count, check_question
from pellucid.models import Grid, Plan, as_number, evaluate, filled, find_grid, scorer, unvaried

from ._cam import enlarged


def occlusion(
    model: nn.Module,
    images: Tensor,
    targets: ManyTargets,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | str = "mean",
    objective: str = "prob",
    at: str | None = None,
    grid: str = "",
) -> Tensor:
    """Mean drop of the target's probability over all patches that hide a pixel.

    Patches start at 0, stride, 2 stride, ...; the last of each row and column is flush with the edge, so that every
    pixel is hidden at least once. Every target of an image is read off the same passes.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain, or (N, T), T classes at once; or a callable outputs -> (N,).
        window: side of the square patch in pixels, 1 to min(H, W); a seventh of that when none is given (32 of 224).
        stride: step between patches in pixels, 1 to window; a quarter of the window when none is given.
        fill: what hides: mean (the model's own mean colour), black, blur (the image, blurred), or a number in [0, 1].
        objective: what is watched: prob (the probability), score (the logit), logprob, or loss.
        at: dotted name of a layer of which patches are set to zero (or to fill, a number); none hides the image's own.
        grid: sides of that layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.

    Returns:
        (N, H, W), or (N, T, H, W), dtype and device of images, in units of what is watched. Positive: hiding the pixel
        lowers it. At a layer, window and stride count its positions, and the map is enlarged bilinearly.

    Raises:
        ValueError: an argument is out of its range, the model is training, or the layer has no maps.
    """
    check_question(model, images, targets, many=True)
    images = images.detach()
    read = scorer(targets, objective)
    if at is None:
        sides: tuple[int, ...] = tuple(images.shape[-2:])
        boxes = _windows(sides, window, stride).to(images.device)  # (r, c, 4)
        plan = _hiding(images, boxes.flatten(0, 1), filled(model, images, fill))
    else:
        found = find_grid(model, at, tuple(images.shape[1:]), grid)
        sides = found.size
        boxes = _windows(sides, window, stride).to(images.device)
        plan = _hiding_at(images, boxes.flatten(0, 1), at, found, _painted_with(fill))
    clean = evaluate(model, unvaried(images), read)[0]  # (N,) or (N, T)
    drop = clean - evaluate(model, plan, read, label="occlusion")  # (P, N) or (P, N, T)
    heat = _spread(drop.flatten(1), boxes.flatten(0, 1), sides).to(images)  # (N * T, h, w)
    return (heat if at is None else enlarged(heat, images.shape[-2:])).view(*clean.shape, *images.shape[-2:])


@dataclass(frozen=True)
class Occluded:
    """What a model says of each image while one window after the other is hidden: r x c windows."""

    boxes: Tensor  # (r, c, 4), int64: a window's rows [top, bottom) and columns [left, right)
    probability: Tensor  # (N, r, c), of the target while the window is hidden: low where the window matters
    classes: Tensor  # (N, r, c), int64, the most probable class while the window is hidden
    importance: Tensor  # (N, r, c), by how much hiding the window lowers what is watched
    probability_map: Tensor  # (N, H, W), for each pixel the mean over the windows that hide it
    importance_map: Tensor  # (N, H, W), likewise
    class_map: Tensor  # (N, H, W), int64, for each pixel that of the window whose centre is nearest


def occluded(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | str = "mean",
    objective: str = "prob",
) -> Occluded:
    """What the model says of each image while each window is hidden: probability, most probable class, importance.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class that is watched in each image.
        window: side of the square patch in pixels, 1 to min(H, W); a seventh of that when none is given (32 of 224).
        stride: step between patches in pixels, 1 to window; a quarter of the window when none is given.
        fill: what hides: mean (the model's own mean colour), black, blur (the image, blurred), or a number in [0, 1].
        objective: whose fall is the importance: prob (the probability), score (the logit), logprob, or loss.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_question(model, images, targets)
    if not isinstance(targets, Tensor):
        raise ValueError("targets must be classes (N,), int64: a callable on the outputs has no probability")
    images = images.detach()
    sides = tuple(images.shape[-2:])
    boxes = _windows(sides, window, stride).to(images.device)  # (r, c, 4)
    watched, probability = scorer(targets, objective), scorer(targets, "prob")

    def read(outputs: Any, rows: Tensor) -> Tensor:
        told = (watched(outputs, rows), probability(outputs, rows), outputs.argmax(dim=1))
        return torch.stack([one.double() if images.dtype == torch.float64 else one.float() for one in told], dim=1)

    clean = evaluate(model, unvaried(images), read)[0, :, 0]  # (N,)
    plan = _hiding(images, boxes.flatten(0, 1), filled(model, images, fill))
    found = evaluate(model, plan, read, label="occlusion")  # (P, N, 3)
    value, chance, best = found.movedim(0, -1).reshape(len(images), 3, *boxes.shape[:2]).unbind(dim=1)  # (N, r, c)
    drop, classes = clean[:, None, None] - value, best.long()
    wide = [_spread(one.flatten(1).T, boxes.flatten(0, 1), sides).to(images) for one in (chance, drop)]
    nearest = _nearest(classes, boxes, sides)
    return Occluded(boxes, chance.to(images), classes, drop.to(images), wide[0], wide[1], nearest)


def _windows(sides: tuple[int, ...], window: int | None, stride: int | None) -> Tensor:
    """Boxes (r, c, 4): rows [top, bottom) and columns [left, right); the last of each row and column is flush."""
    window = max(1, round(min(sides) / 7)) if window is None else window
    check_count("window", window, 1, min(sides))
    stride = max(1, window // 4) if stride is None else stride
    check_count("stride", stride, 1, window)  # more would leave pixels that nothing hides
    tops, lefts = (torch.tensor([*range(0, side - window, stride), side - window]) for side in sides)
    corners = torch.stack(torch.meshgrid(tops, lefts, indexing="ij"), dim=-1)  # (r, c, 2)
    return torch.cat([corners, corners + window], dim=-1)


def _hiding(images: Tensor, boxes: Tensor, paint: Tensor) -> Plan:
    """Each image with each box (P, 4) painted over by what `paint` (N, C, H, W) has there."""
    sides = tuple(images.shape[-2:])

    def hide(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        return torch.where(_inside(boxes[numbers], sides)[:, None, None], paint[rows], some)  # (p, n, C, H, W)

    return Plan(images, len(boxes), hide, boxes)


def _hiding_at(images: Tensor, boxes: Tensor, layer: str, grid: Grid, paint: float) -> Plan:
    """A layer's output with each box (P, 4) of its grid set to a number; tokens before the grid stay."""

    def hide(output: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
        hidden = _inside(boxes[numbers], grid.size)[:, None]  # (p, 1, h, w)
        if grid.form == "tokens":
            hidden = F.pad(hidden.flatten(2), (grid.prefix, 0))[..., None]  # (p, 1, T, 1)
        else:
            hidden = hidden[:, :, None] if grid.form == "first" else hidden[..., None]
        return output.masked_fill(hidden, paint)  # (p, n, ...)

    return Plan(images, len(boxes), hide, at=layer)


def _painted_with(fill: float | str) -> float:
    """The number to which positions of a layer are set."""
    number = as_number(fill)
    if number is None and fill not in {"mean", "black"}:
        raise ValueError(f"fill must be a number, or mean or black for zero, at a layer, got {fill!r}")
    return 0.0 if number is None else number


def _inside(boxes: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Masks (p, H, W), bool, true inside each box."""
    rows, columns = (torch.arange(side, device=boxes.device) for side in sides)
    top, left, bottom, right = boxes.T[..., None]  # (p, 1) each
    tall = (rows >= top) & (rows < bottom)  # (p, H)
    wide = (columns >= left) & (columns < right)  # (p, W)
    inside: Tensor = tall[:, :, None] & wide[:, None, :]
    return inside


def _spread(values: Tensor, boxes: Tensor, sides: tuple[int, ...]) -> Tensor:
    """For each pixel the mean of the values (P, N) of the boxes that hold it, by summed areas: (N, H, W), CPU."""
    height, width = sides
    values, boxes = values.cpu(), boxes.cpu()  # float64 sums; not every device has it
    both = torch.cat([values.double(), torch.ones_like(values[:, :1], dtype=torch.float64)], dim=1).T  # (N + 1, P)
    corners = both.new_zeros(len(both), (height + 1) * (width + 1))
    for row, column, sign in ((0, 1, 1.0), (0, 3, -1.0), (2, 1, -1.0), (2, 3, 1.0)):
        corners.index_add_(1, boxes[:, row] * (width + 1) + boxes[:, column], both, alpha=sign)
    sums = corners.view(-1, height + 1, width + 1).cumsum(1).cumsum(2)[:, :height, :width]  # (N + 1, H, W)
    return sums[:-1] / sums[-1].round()


def _nearest(values: Tensor, boxes: Tensor, sides: tuple[int, ...]) -> Tensor:
    """For each pixel the value (N, r, c) of the window whose centre is nearest, the first of two: (N, H, W)."""
    places = []
    for side, starts in zip(sides, (boxes[:, 0, ::2], boxes[0, :, 1::2]), strict=True):
        centres = starts.sum(dim=1)  # doubled, as the pixels' are: 2 x + 1
        pixels = 2 * torch.arange(side, device=boxes.device) + 1
        places.append((pixels[:, None] - centres).abs().argmin(dim=1))
    return values[:, places[0]][:, :, places[1]]
