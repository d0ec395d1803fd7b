"""Deletion and insertion: curves known in closed form, and recomputed step by step."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn

from pellucid.metrics.explanation import Curve, baselines, deletion, insertion
from pellucid.models import Model

from .nets import HEAT, IMAGES, TARGETS, Linear, Small

Measure: TypeAlias = Callable[..., Curve]
WEIGHT = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_two_pixels() -> None:
    """A score of 3 on the left pixel and 1 on the right one."""
    model, image, target = Linear(torch.tensor([[[[3.0, 1.0]]]])), torch.ones(1, 1, 1, 2), torch.tensor([0])
    right = torch.tensor([[[0.9, 0.1]]])
    found = deletion(model, image, target, right, steps=2, fill="black", objective="score")
    assert found.fractions.tolist() == [0, 0.5, 1]
    assert found.scores.tolist() == [[4, 1, 0]]
    assert found.auc.tolist() == [1.5]  # (4 + 1) / 2 / 2 + (1 + 0) / 2 / 2
    assert deletion(model, image, target, -right, steps=2, fill="black", objective="score").auc.tolist() == [2.5]
    found = insertion(model, image, target, right, steps=2, fill="black", objective="score")
    assert found.scores.tolist() == [[0, 3, 4]]
    assert found.auc.tolist() == [2.5]


def test_the_curve_of_a_linear_model_is_what_is_left_of_its_sum() -> None:
    heat = (WEIGHT[TARGETS] * IMAGES).sum(dim=1)  # each pixel's own part of the score
    ordered = heat.flatten(1).sort(dim=1, descending=True).values
    found = deletion(Linear(WEIGHT), IMAGES, TARGETS, heat, steps=64, fill="black", objective="score")
    left = heat.sum(dim=(1, 2))[:, None] - torch.cat([torch.zeros(3, 1), ordered.cumsum(dim=1)], dim=1)
    torch.testing.assert_close(found.scores, left)
    torch.testing.assert_close(found.auc, (left[:, 1:] + left[:, :-1]).sum(dim=1) / 2 / 64)


def test_the_part_of_each_pixel_is_the_best_order_and_chance_lies_in_the_middle() -> None:
    model, best = Linear(WEIGHT), (WEIGHT[TARGETS] * IMAGES).sum(dim=1)
    middle = best.sum(dim=(1, 2)) / 2  # a random order takes the sum away evenly
    chance = torch.zeros(3, dtype=torch.float64)
    for heat in baselines(IMAGES, draws=40).values():
        for measure, sign in ((deletion, 1), (insertion, -1)):
            areas = [measure(model, IMAGES, TARGETS, h, fill="black", objective="score").auc for h in (best, heat)]
            assert (sign * (areas[1] - areas[0]) > 0).all()
    for number in range(40):
        random = baselines(IMAGES, draws=40)[f"random_{number + 1}"]
        chance += deletion(model, IMAGES, TARGETS, random, fill="black", objective="score").auc / 40
    torch.testing.assert_close(chance, middle, rtol=0.02, atol=0)


def painted(model: nn.Module, image: Tensor, fill: str) -> Tensor:
    """What a pixel is replaced with, pixel by pixel."""
    if fill == "blur":
        std, found = 8 * 10 / 224, torch.zeros_like(image)
        for row in range(8):
            for column in range(8):
                place = torch.arange(8)
                down, across = ((-((place - at) ** 2) / (2 * std**2)).exp().double() for at in (row, column))
                weights = down[:, None] * across
                found[:, row, column] = (weights * image).sum(dim=(1, 2)) / weights.sum()
        return found
    if fill == "mean" and isinstance(model, Model):
        return torch.tensor([0.2, 0.5, 0.7])[:, None, None].expand_as(image)
    return torch.zeros_like(image)


@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
@pytest.mark.parametrize("measure", [deletion, insertion])
def test_a_plain_loop_gives_the_same(measure: Measure, fill: str) -> None:
    model = Model(Small(), mean=(0.2, 0.5, 0.7), std=(0.3, 0.2, 0.4), classes=list("abcde"), size=8)
    heat = HEAT.round(decimals=0)  # many ties
    found = measure(model, IMAGES, TARGETS, heat, steps=5, fill=fill)
    for number, (image, target) in enumerate(zip(IMAGES, TARGETS.tolist(), strict=True)):
        order = sorted(range(64), key=lambda at: (-heat[number].flatten()[at].item(), at))
        scores = []
        for step in range(6):
            count = round(step * 64 / 5)
            is_taken = torch.zeros(64, dtype=torch.bool)
            is_taken[order[:count]] = True
            is_hidden = (is_taken if measure is deletion else ~is_taken).view(8, 8)
            shown = torch.where(is_hidden, painted(model, image, fill), image)
            with torch.no_grad():
                scores.append(model(shown[None]).softmax(dim=1)[0, target].item())
            assert found.fractions[step].item() == pytest.approx(count / 64)
        assert found.scores[number].tolist() == pytest.approx(scores)
        widths = [(round((k + 1) * 64 / 5) - round(k * 64 / 5)) / 64 for k in range(5)]
        area = sum(w * (a + b) / 2 for w, a, b in zip(widths, scores, scores[1:], strict=False))
        assert found.auc[number].item() == pytest.approx(area)


@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
def test_insertion_is_deletion_of_the_opposite_map_read_backwards(fill: str) -> None:
    there = insertion(Small(), IMAGES, TARGETS, HEAT, steps=8, fill=fill)
    back = deletion(Small(), IMAGES, TARGETS, -HEAT, steps=8, fill=fill)
    torch.testing.assert_close(there.scores, back.scores.flip(1))
    torch.testing.assert_close(there.auc, back.auc)


def test_only_the_order_of_the_map_counts() -> None:
    torch.testing.assert_close(
        deletion(Small(), IMAGES, TARGETS, HEAT).scores, deletion(Small(), IMAGES, TARGETS, 5 * HEAT.tanh() - 9).scores
    )


def test_a_callable_target_decides_alone() -> None:
    found = deletion(Small(), IMAGES, lambda outputs: outputs[:, 2], HEAT)
    torch.testing.assert_close(
        found.scores, deletion(Small(), IMAGES, torch.full((3,), 2), HEAT, objective="score").scores
    )


@pytest.mark.parametrize("measure", [deletion, insertion])
def test_refuses(measure: Measure) -> None:
    for told, message in (
        ({"steps": 0}, r"steps must be in \[1, 64\], got 0"),
        ({"steps": 65}, r"steps must be in \[1, 64\], got 65"),
        ({"objective": "logit"}, "objective must be one of score, logprob, prob, loss, got 'logit'"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(Small(), IMAGES, TARGETS, HEAT, **told)
