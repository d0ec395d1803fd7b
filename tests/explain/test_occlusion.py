from typing import Any

import pytest
import torch

from pellucid.explain import occlusion
from pellucid.models import Model

from .nets import Functional, Linear

GENERATOR = torch.Generator().manual_seed(1)
WEIGHT = torch.randn(5, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def test_one_pixel_patch_equals_closed_form() -> None:
    heat = occlusion(Linear(WEIGHT), IMAGES, TARGETS, window=1, stride=1, fill=0.5, objective="score")
    torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (IMAGES - 0.5)).sum(dim=1))


def test_overlapping_patches_are_averaged_and_reach_the_edge() -> None:
    ones = torch.ones(1, 3, 8, 8, dtype=torch.float64)  # every 4x4 patch costs 3 * 4 * 4 * (1 - 0.5) = 24 logits
    model = Linear(torch.ones(1, 3, 8, 8, dtype=torch.float64))
    heat = occlusion(model, ones, torch.tensor([0]), window=4, stride=3, fill=0.5, objective="score")
    torch.testing.assert_close(heat, torch.full((1, 8, 8), 24.0, dtype=torch.float64))


@pytest.mark.parametrize("objective", ["prob", "score"])
def test_equals_a_plain_loop(objective: str) -> None:
    model = Functional().double()
    heat = occlusion(model, IMAGES, TARGETS, window=3, stride=2, fill=0.2, objective=objective)

    def watched(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(images)
        return (logits.softmax(dim=1) if objective == "prob" else logits)[range(2), TARGETS]

    total, count = torch.zeros(2, 8, 8, dtype=torch.float64), torch.zeros(8, 8, dtype=torch.float64)
    for top in (0, 2, 4, 5):  # the last is flush with the edge: 8 - 3
        for left in (0, 2, 4, 5):
            hidden = IMAGES.clone()
            hidden[:, :, top : top + 3, left : left + 3] = 0.2
            total[:, top : top + 3, left : left + 3] += (watched(IMAGES) - watched(hidden))[:, None, None]
            count[top : top + 3, left : left + 3] += 1
    torch.testing.assert_close(heat, (total / count).detach())


def test_patches_are_painted_with_the_models_mean() -> None:
    model = Model(Linear(WEIGHT), mean=[0.1, 0.2, 0.3], std=[1.0] * 3, classes=list("abcde"), size=8)
    heat = occlusion(model, IMAGES, TARGETS, window=1, stride=1, objective="score")
    mean = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (IMAGES - mean)).sum(dim=1), rtol=1e-6, atol=1e-6)


def test_hiding_what_is_already_there_costs_nothing() -> None:
    gray = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    assert occlusion(Linear(WEIGHT), gray, torch.tensor([0]), window=3, fill=0.5, objective="score").abs().max() < 1e-12


def test_the_whole_image_as_window_gives_one_value() -> None:
    heat = occlusion(Linear(WEIGHT), IMAGES, TARGETS, window=8, fill=0.0, objective="score")
    expected = (WEIGHT[TARGETS] * IMAGES).sum(dim=(1, 2, 3))
    torch.testing.assert_close(heat, expected[:, None, None].expand(2, 8, 8))


def test_the_default_is_32_and_8_at_224(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Any] = []

    def spy(model: Any, plan: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        plans.append(plan)
        return torch.zeros(plan.count, len(plan.images))

    monkeypatch.setitem(occlusion.__wrapped__.__globals__, "evaluate", spy)  # type: ignore[attr-defined]
    occlusion(Linear(torch.zeros(1, 3, 224, 224)), torch.zeros(1, 3, 224, 224), torch.tensor([0]))
    assert plans[1].count == 625
    assert plans[1].boxes[0].tolist() == [0, 0, 32, 32]
    assert plans[1].boxes[1].tolist() == [0, 8, 32, 40]
    assert plans[1].boxes[-1].tolist() == [192, 192, 224, 224]


@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [("window", 9, "1, 8"), ("window", 0, "1, 8"), ("stride", 9, "1, 8"), ("fill", 1.5, "0, 1")],
)
def test_refuses(option: str, value: float, legal: str) -> None:
    options: dict[str, Any] = {"window": 8, option: value}
    with pytest.raises(ValueError, match=rf"{option} must be in \[{legal}\], got {value}"):
        occlusion(Linear(WEIGHT), IMAGES, TARGETS, **options)
