"""RISE: show random parts, and average them by how much of the class each part shows.

V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
sections 3.1 and 3.2. https://arxiv.org/abs/1806.07421
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import ManyTargets, check_choice, check_count, check_question
from pellucid.models import Plan, evaluate, filled, scorer

Masks: TypeAlias = Callable[[Tensor], Tensor]
"""(numbers (p,) int64) -> (p, H, W) in [0, 1]: how much of each pixel each mask keeps."""

AT_A_TIME = 64
"""Masks that are added up at a time, once all scores are known."""


def rise(
    model: nn.Module,
    images: Tensor,
    targets: ManyTargets,
    *,
    masks: int = 4000,
    cells: int = 7,
    keep: float = 0.5,
    fill: float | str = "mean",
    upsample: str = "bilinear",
    shift: bool = True,
    normalise: str = "pixel",
    objective: str = "prob",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean probability of the target over random masks that keep a pixel, at one forward pass a mask.

    A mask is a coarse grid of cells that are kept or not, enlarged and moved by a random part of a cell. Every image
    meets the same masks, and every target of an image is read off the same passes. The paper divides by the expected
    number of masks that keep a pixel (normalise="expected"); by default the number itself is taken, so that an image
    whose score no mask changes gives a flat map.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain, or (N, T), T classes at once; or a callable outputs -> (N,).
        masks: how many random masks, at least 1; the error falls with the square root.
        cells: of a mask's grid along each side, 1 to min(H, W).
        keep: share of the cells that a mask keeps, above 0, at most 1.
        fill: what a mask hides with: mean (the model's own mean colour), black, blur, or a number in [0, 1].
        upsample: how a grid is enlarged: bilinear or nearest.
        shift: move each mask by a random part of a cell.
        normalise: divide by the masks that keep a pixel: their number (pixel) or the number expected (expected).
        objective: what is averaged: prob (the probability), score (the logit), logprob, or loss.
        generator: source of the masks; None takes one of seed 0.

    Returns:
        (N, H, W), or (N, T, H, W), dtype and device of images, in units of what is averaged: larger where keeping the
        pixel goes with more of the target. What counts is the difference between pixels, not zero.

    Raises:
        ValueError: an argument is out of its range, or the model is training.
    """
    check_question(model, images, targets, many=True)
    check_count("masks", masks, 1)
    check_count("cells", cells, 1, min(images.shape[-2:]))
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be in (0, 1], got {keep}")
    check_choice("normalise", normalise, ("pixel", "expected"))
    hidden = filled(model, images, fill)  # (N, C, H, W)
    wide = images.to(torch.promote_types(images.dtype, torch.float32))  # half precision counts no 4000 masks
    drawn = _drawn(wide, masks, cells, keep, upsample=upsample, shift=shift, generator=generator)

    def vary(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        return torch.lerp(hidden[rows], some, drawn(numbers)[:, None, None].to(some))  # (p, n, C, H, W)

    scores = evaluate(model, Plan(images, masks, vary), scorer(targets, objective), label="rise")  # (P, N) or (P, N, T)
    heat = _averaged(scores.flatten(1).to(wide), drawn, None if normalise == "pixel" else masks * keep)
    return heat.view(*scores.shape[1:], *images.shape[-2:]).to(images)


def _drawn(
    images: Tensor,
    masks: int,
    cells: int,
    keep: float,
    *,
    upsample: str,
    shift: bool,
    generator: torch.Generator | None,
) -> Masks:
    """Every mask as its grid and its place, drawn once; the pixels of some masks are made when they are asked for.

    A grid is enlarged to one cell more than the image and cut to it at the mask's place. As both axes are enlarged
    apart, a mask is (H, cells) weights times its grid times (cells, W) weights.
    """
    source = torch.Generator().manual_seed(0) if generator is None else generator
    size = (masks, cells, cells)
    grids = (torch.rand(size, generator=source, device=source.device) < keep).to(images)
    axes: list[tuple[Tensor, Tensor]] = []  # of rows and columns: weights (L, cells), places (P, side)
    for side in images.shape[-2:]:
        step = -(-side // cells)  # of a cell, rounded up
        starts = torch.randint(step, (masks, 1), generator=source, device=source.device)
        places = starts.to(images.device) * shift + torch.arange(side, device=images.device)
        axes.append((_weights(cells, (cells + 1) * step, upsample).to(images), places))

    def pixels(numbers: Tensor) -> Tensor:
        rows, columns = (weights[places[numbers]] for weights, places in axes)  # (p, H, cells), (p, W, cells)
        with torch.autocast(images.device.type, enabled=False):  # it would halve the precision
            return (rows @ (grids[numbers] @ columns.mT)).clamp_(0, 1)  # round-off alone leaves [0, 1]

    return pixels


def _weights(cells: int, length: int, upsample: str) -> Tensor:
    """How each of `length` pixels is mixed from the cells, (length, cells); each row sums to 1."""
    check_choice("upsample", upsample, ("bilinear", "nearest"))
    unit = torch.eye(cells, dtype=torch.float64)[None]
    mode = "linear" if upsample == "bilinear" else "nearest"
    return F.interpolate(unit, length, mode=mode)[0].T


def _averaged(scores: Tensor, drawn: Masks, expected: float | None) -> Tensor:
    """The scores (P, M), averaged over the masks by how much of a pixel each keeps: (M, H, W).

    Scores are counted from the first mask's, so that equal ones give a map that is flat to the last bit.
    """
    first = scores[0]
    numbers = torch.arange(len(scores), device=scores.device)
    total = scores.new_zeros(())
    for some in torch.split(numbers, AT_A_TIME):
        told = torch.cat([scores[some] - first, torch.ones_like(scores[some, :1])], dim=1)  # (p, M + 1)
        with torch.autocast(scores.device.type, enabled=False):
            total = total + torch.tensordot(told.T, drawn(some), dims=1)  # (M + 1, H, W)
    sums, kept = total[:-1], total[-1]  # (M, H, W), (H, W)
    if expected is None:
        mean = first[:, None, None] + sums / kept.where(kept > 0, 1.0)
        return mean.where(kept > 0, 0.0)
    return (sums + first[:, None, None] * kept) / expected
