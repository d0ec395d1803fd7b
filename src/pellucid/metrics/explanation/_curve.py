"""Pixels taken away or given back in the order of a map, and the score that remains."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_count
from pellucid.models import Plan, evaluate, scorer

from ._heat import check_heat
from .is_flat import is_flat


@dataclass(frozen=True)
class Curve:
    """The score while pixels are taken away (deletion: lower is better) or given back (insertion: higher is better)."""

    fractions: Tensor  # (S + 1,), share of the pixels that were taken away or given back, from 0 to 1
    scores: Tensor  # (N, S + 1), in units of what is watched: a probability unless the objective was another
    auc: Tensor  # (N,), area under the scores over the fractions by the trapezoid rule: a mean score, same unit
    is_flat: Tensor  # (N,), bool: the map orders nothing, so the pixels went row by row


def curve(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    heat: Tensor,
    *,
    canvas: Tensor,
    steps: int,
    objective: str,
    give_back: bool,
    label: str,
) -> Curve:
    """The score after each step, all steps of all images being one plan; the canvas is (N, C, H, W)."""
    check_heat(heat, images)
    pixels = heat[0].numel()
    check_count("steps", steps, 1, pixels)
    places = _places(heat)  # (N, H, W)
    counts = (torch.linspace(0, 1, steps + 1, dtype=torch.float64) * pixels).round().int()  # (S + 1,)
    reached = counts.to(images.device)

    def vary(some: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        is_first = places[rows] < reached[numbers, None, None, None]  # (p, n, H, W)
        return torch.where((is_first ^ give_back)[:, :, None], canvas[rows], some)  # (p, n, C, H, W)

    scores = evaluate(model, Plan(images, steps + 1, vary), scorer(targets, objective), label=label).T  # (N, S + 1)
    fractions = (counts.double() / pixels).to(scores)
    auc = torch.trapezoid(scores.cpu().double(), fractions.cpu().double(), dim=1).to(scores)
    return Curve(fractions, scores, auc, is_flat(heat))


def _places(heat: Tensor) -> Tensor:
    """Each pixel's place, (N, H, W), int32, in the order of decreasing heat; among equals the earlier pixel first."""
    order = heat.flatten(1).argsort(dim=1, descending=True, stable=True)  # (N, H * W)
    numbers = torch.arange(order.shape[1], dtype=torch.int32, device=order.device).expand_as(order)
    return torch.empty_like(order, dtype=torch.int32).scatter_(1, order, numbers).view(heat.shape)
