import math

import pytest
import torch

from pellucid.foundations.minima import minimum_on_simplex, minimum_unconstrained, penalised_loss


def test_the_numbers_of_the_worked_example() -> None:
    found = minimum_on_simplex(penalty="l2", weight=1)
    assert found.outputs == pytest.approx(((1 + math.sqrt(5)) / 4, (3 - math.sqrt(5)) / 4), abs=1e-12)
    assert found.outputs[0] == pytest.approx(0.809, abs=1e-4)
    assert found.value == pytest.approx(0.9029, abs=5e-5)
    assert not found.is_boundary
    assert minimum_on_simplex(penalty="l2", weight=2).outputs[0] == pytest.approx(0.6830, abs=5e-5)
    assert minimum_on_simplex(penalty="l2", weight=10).outputs[0] == pytest.approx(0.5458, abs=5e-5)
    for weight in (0.0, 0.25, 0.5):
        assert minimum_on_simplex(penalty="l2", weight=weight).outputs == (1, 0)
    for penalty, weight in (("none", 1.0), ("none", 0.0), ("l1", 1.0), ("l1", 9.0)):
        assert minimum_on_simplex(penalty=penalty, weight=weight).outputs == (1, 0)


@pytest.mark.parametrize("penalty", ["none", "l1", "l2"])
@pytest.mark.parametrize("weight", [0.25, 0.5, 1, 2, 10])
def test_the_minimum_equals_a_search_over_a_grid(penalty: str, weight: float) -> None:
    grid = torch.linspace(0.4, 1, 600_001, dtype=torch.float64)
    curve = penalised_loss(grid, penalty=penalty, weight=weight)
    found = minimum_on_simplex(penalty=penalty, weight=weight)
    assert found.outputs[0] == pytest.approx(grid[curve.value.argmin()].item(), abs=1.1e-6)
    assert found.value == pytest.approx(curve.value.min().item(), abs=1e-10)
    there = torch.tensor(found.outputs[0], dtype=torch.float64)
    slope = penalised_loss(there, penalty=penalty, weight=weight).slope.item()
    assert slope < 0 if found.is_boundary else abs(slope) < 1e-9


def test_the_value_is_cross_entropy_and_the_norm_and_the_slope_is_autograds() -> None:
    shares = torch.linspace(0.05, 1, 50, dtype=torch.float64, requires_grad=True)
    outputs = torch.stack([shares, 1 - shares])
    for penalty, size in (("none", 0 * shares), ("l1", outputs.abs().sum(dim=0)), ("l2", (outputs**2).sum(dim=0))):
        curve = penalised_loss(shares, penalty=penalty, weight=0.7)
        torch.testing.assert_close(curve.value, -shares.log() + 0.7 * size)
        (slope,) = torch.autograd.grad(curve.value.sum(), shares, retain_graph=True)
        torch.testing.assert_close(curve.slope, slope)


def test_more_weight_is_less_certain_towards_a_half() -> None:
    shares = [minimum_on_simplex(weight=weight).outputs[0] for weight in (0.4, 0.6, 1, 3, 30, 1e6)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("weight", [0.25, 1, 4])
def test_the_unconstrained_minimum_equals_a_search(penalty: str, weight: float) -> None:
    first = torch.linspace(0.01, 5, 4000, dtype=torch.float64)[:, None]
    other = torch.linspace(0, 1, 20, dtype=torch.float64)
    size = first + other if penalty == "l1" else first**2 + other**2
    loss = -first.log() + weight * size
    row, column = divmod(int(loss.argmin()), loss.shape[1])
    found = minimum_unconstrained(penalty=penalty, weight=weight)
    assert found.outputs == pytest.approx((first[row, 0].item(), other[column].item()), abs=2e-3)
    assert found.value == pytest.approx(loss.min().item(), abs=1e-5)
    assert found.is_boundary == (penalty == "l1")


def test_refuses() -> None:
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        minimum_on_simplex(weight=-1)
    with pytest.raises(ValueError, match="penalty must be one of none, l1, l2, got 'L2'; did you mean l"):
        minimum_on_simplex(penalty="L2")
    with pytest.raises(ValueError, match="weight must be above 0, with penalty l1 or l2: without one"):
        minimum_unconstrained(penalty="none")
    with pytest.raises(ValueError, match="weight must be above 0"):
        minimum_unconstrained(weight=0)
    for wrong in (0.0, 1.2, math.nan):
        with pytest.raises(ValueError, match=r"shares must be a tensor in \(0, 1\]"):
            penalised_loss(torch.tensor([wrong]))
