import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pellucid.foundations import activations
from pellucid.foundations.activations import Activated

POINTS = torch.cat([torch.linspace(-6, 6, 121, dtype=torch.float64), torch.tensor([-40.0, 40.0], dtype=torch.float64)])
TWINS: list[tuple[Callable[..., Activated], Callable[[Tensor], Tensor]]] = [
    (activations.identity, lambda a: a * 1),
    (activations.sigmoid, torch.sigmoid),
    (activations.tanh, torch.tanh),
    (activations.relu, F.relu),
    (activations.leaky_relu, lambda a: F.leaky_relu(a, 0.01)),
    (activations.elu, F.elu),
    (activations.silu, F.silu),
    (activations.softplus, F.softplus),
]
each = pytest.mark.parametrize(("ours", "theirs"), TWINS, ids=[one.__name__ for one, _ in TWINS])


def test_none_is_missing() -> None:
    assert tuple(ours for ours, _ in TWINS) == activations.EACH


@each
def test_value_and_slope_equal_autograd(ours: Callable[..., Activated], theirs: Callable[[Tensor], Tensor]) -> None:
    points = POINTS.clone().requires_grad_()
    value = theirs(points)
    (slope,) = torch.autograd.grad(value.sum(), points)
    found = ours(POINTS)
    torch.testing.assert_close(found.value, value.detach(), rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(found.slope, slope, rtol=1e-8, atol=1e-12)


@each
def test_the_slope_equals_central_differences(
    ours: Callable[..., Activated], theirs: Callable[[Tensor], Tensor]
) -> None:
    smooth = POINTS[POINTS.abs() > 1e-3]
    step = 1e-5
    differences = (ours(smooth + step).value - ours(smooth - step).value) / (2 * step)
    torch.testing.assert_close(ours(smooth).slope, differences, rtol=1e-6, atol=1e-8)


@each
def test_far_out_nothing_overflows(ours: Callable[..., Activated], theirs: Callable[[Tensor], Tensor]) -> None:
    far = torch.tensor([-1e4, 1e4])
    assert ours(far).value.isfinite().all()
    assert ours(far).slope.isfinite().all()
    assert ours(far).value.dtype == torch.float32


def test_what_is_said_of_them() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert activations.sigmoid(zero).slope.item() == 0.25 == activations.sigmoid(POINTS).slope.max().item()
    assert activations.tanh(zero).slope.item() == 1
    assert activations.relu(zero).slope.item() == 0
    lowest = torch.tensor([-1.278465], dtype=torch.float64)
    assert activations.silu(lowest).value.item() == pytest.approx(-0.278465, abs=1e-6)
    assert activations.silu(lowest).slope.abs().item() < 1e-5
    assert activations.softplus(zero).value.item() == pytest.approx(math.log(2))
    for scale in (0.0, 0.5, 3.0):
        assert torch.equal(activations.relu(scale * POINTS).value, scale * activations.relu(POINTS).value)
    assert not torch.equal(activations.relu(-POINTS).value, -activations.relu(POINTS).value)


def test_options_are_the_slope_and_the_depth_on_the_left() -> None:
    left = torch.tensor([-2.0, -30.0], dtype=torch.float64)
    assert activations.leaky_relu(left, leak=0.2).slope.tolist() == [0.2, 0.2]
    torch.testing.assert_close(activations.elu(left, alpha=2.0).value[1].item(), -2.0)
    torch.testing.assert_close(activations.elu(left, alpha=2.0).slope, 2 * left.exp())


def test_the_softmax_jacobian_equals_autograd_and_its_rows_sum_to_zero() -> None:
    points = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = activations.softmax(points)
    torch.testing.assert_close(found.value, points.softmax(dim=1))
    for row, jacobian in zip(points, found.slope, strict=True):
        expected = torch.autograd.functional.jacobian(lambda a: a.softmax(dim=0), row)  # type: ignore[no-untyped-call]
        torch.testing.assert_close(jacobian, expected)
    torch.testing.assert_close(found.slope.sum(dim=2), torch.zeros(3, 5, dtype=torch.float64))
    assert activations.softmax(points + 1e4).value.isfinite().all()


def test_refuses_whole_numbers_and_options_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"points must be a float tensor, got torch.int64"):
        activations.relu(torch.arange(3))
    with pytest.raises(ValueError, match="leak must be at least 0, got -1"):
        activations.leaky_relu(POINTS, leak=-1)
    with pytest.raises(ValueError, match="alpha must be at least 0"):
        activations.elu(POINTS, alpha=-1)
