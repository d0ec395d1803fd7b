import pytest
import torch

from pellucid import explain
from pellucid.metrics.explanation import completeness
from pellucid.models import Model

from .nets import IMAGES, TARGETS, Linear, Small

WEIGHT = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_the_parts_of_a_linear_score_are_complete() -> None:
    heat = (WEIGHT[TARGETS] * IMAGES).sum(dim=1)
    found = completeness(Linear(WEIGHT), IMAGES, TARGETS, heat)
    torch.testing.assert_close(found.expected, heat.sum(dim=(1, 2)))
    torch.testing.assert_close(found.total, found.expected)
    assert found.gap.max() < 1e-12
    assert found.relative.max() < 1e-12


def test_what_is_missing_is_told() -> None:
    heat = (WEIGHT[TARGETS] * IMAGES).sum(dim=1)
    found = completeness(Linear(WEIGHT), IMAGES, TARGETS, heat + 1)
    torch.testing.assert_close(found.gap, torch.full((3,), 64.0, dtype=torch.float64))
    torch.testing.assert_close(found.relative, 64 / heat.sum(dim=(1, 2)).abs())


@pytest.mark.parametrize("number", [0.0, 0.3, 1.0])
def test_a_number_is_a_gray(number: float) -> None:
    heat = (WEIGHT[TARGETS] * (IMAGES - number)).sum(dim=1)
    assert completeness(Linear(WEIGHT), IMAGES, TARGETS, heat, baseline=number).gap.max() < 1e-12


def test_images_may_be_the_baseline() -> None:
    bare = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    heat = (WEIGHT[TARGETS] * (IMAGES - bare)).sum(dim=1)
    assert completeness(Linear(WEIGHT), IMAGES, TARGETS, heat, baseline=bare).gap.max() < 1e-12
    with pytest.raises(ValueError, match=r"baseline must have shape \(3, 3, 8, 8\), got \(3, 8, 8\)"):
        completeness(Linear(WEIGHT), IMAGES, TARGETS, heat, baseline=bare[0])
    with pytest.raises(ValueError, match=r"baseline must be in \[0, 1\], got 2"):
        completeness(Linear(WEIGHT), IMAGES, TARGETS, heat, baseline=2)


def test_nothing_to_explain_is_explained_by_nothing_only() -> None:
    model, nothing = Linear(torch.zeros(5, 3, 8, 8).double()), torch.zeros(3, 8, 8).double()
    assert completeness(model, IMAGES, TARGETS, nothing).relative.tolist() == [0, 0, 0]
    assert completeness(model, IMAGES, TARGETS, nothing + 1).relative.isinf().all()


@pytest.mark.parametrize("baseline", ["black", "mean", "blur", 0.4])
def test_integrated_gradients_are_complete_from_the_same_baseline(baseline: float | str) -> None:
    model = Model(Small(), mean=(0.2, 0.5, 0.7), std=(0.3, 0.2, 0.4), classes=list("abcde"), size=8)
    heat = explain.integrated_gradients(model, IMAGES, TARGETS, baseline=baseline)
    assert completeness(model, IMAGES, TARGETS, heat, baseline=baseline).relative.max() < 1e-3
    assert (
        completeness(model, IMAGES, TARGETS, heat, baseline="black" if baseline != "black" else "mean").gap.min() > 1e-4
    )
