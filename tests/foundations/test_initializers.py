import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.foundations import initializers
from pellucid.foundations.initializers import fans, second_moments
from pellucid.methods import Method

LINEAR = torch.empty(300, 500, dtype=torch.float64)
CONVOLUTION = torch.empty(64, 32, 5, 5)
drawn = pytest.mark.parametrize("method", initializers.EACH[1:], ids=[one.__name__ for one in initializers.EACH[1:]])


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"),
    [
        (nn.Linear(7, 5), 7, 5),
        (nn.Conv2d(8, 6, 3), 72, 54),
        (nn.Conv2d(8, 6, 3, groups=2), 36, 54),
    ],
)
def test_fans(layer: nn.Module, fan_in: int, fan_out: int) -> None:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    found = fans(weight)
    assert (found.fan_in, found.fan_out) == (fan_in, fan_out)
    counted = torch.nn.init._calculate_fan_in_and_fan_out(weight)
    assert (found.fan_in, found.fan_out) == counted


@pytest.mark.parametrize("weight", [LINEAR, CONVOLUTION])
def test_spreads_are_those_of_the_formulas(weight: Tensor) -> None:
    found = fans(weight)
    expected = {
        "small_normal": 0.01**2,
        "lecun_normal": 1 / found.fan_in,
        "he_normal": 2 / found.fan_in,
        "xavier_normal": 2 / (found.fan_in + found.fan_out),
        "xavier_uniform": 2 / (found.fan_in + found.fan_out),
    }
    for name, variance in expected.items():
        values = getattr(initializers, name)(weight)
        assert values.mean().abs() < 4 * math.sqrt(variance / weight.numel())
        assert values.var().item() == pytest.approx(variance, rel=0.03), name
    bound = math.sqrt(6 / (found.fan_in + found.fan_out))
    assert initializers.xavier_uniform(weight).abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert initializers.xavier_uniform(weight).abs().max() <= bound


@drawn
def test_like_the_weight_and_by_the_generator(method: Method) -> None:
    weight = torch.ones(4, 3, dtype=torch.float64)
    values = method(weight)
    assert (values.shape, values.dtype) == (weight.shape, weight.dtype)
    assert torch.equal(weight, torch.ones(4, 3, dtype=torch.float64))
    assert torch.equal(values, method(weight, generator=torch.Generator().manual_seed(0)))
    assert not torch.equal(values, method(weight, generator=torch.Generator().manual_seed(1)))


def mean_of_50(method: Method, **told: Any) -> Tensor:
    """The second moment after the last layer of 50 nets of 20 layers, 512 wide."""
    generator = torch.Generator().manual_seed(0)
    return torch.stack([second_moments(method, samples=16, generator=generator, **told)[-1] for _ in range(50)])


def test_he_keeps_the_second_moment_through_20_layers_of_relu() -> None:
    ends = mean_of_50(initializers.he_normal)
    assert ends.mean().item() == pytest.approx(1, rel=0.2)
    assert ends.min() > 1 / 4
    assert ends.max() < 4


def test_xavier_keeps_it_through_linear_layers_and_halves_it_at_each_relu() -> None:
    ends = mean_of_50(initializers.xavier_normal, rectified=False)
    assert ends.mean().item() == pytest.approx(1, rel=0.2)
    rectified = second_moments(initializers.xavier_normal)
    assert rectified[-1].item() == pytest.approx(0.5**20, rel=1)


def test_small_weights_let_it_collapse_and_zeros_at_once() -> None:
    assert second_moments(initializers.small_normal)[-1] < 1e-10
    assert second_moments(initializers.zeros)[1] == 0
    assert second_moments(initializers.he_normal, layers=3).shape == (4,)


def test_zeros_learn_nothing_but_the_last_bias() -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(initializers.zeros(parameter) if parameter.ndim == 2 else torch.zeros_like(parameter))
    inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = nn.functional.cross_entropy(network(inputs), torch.arange(9) % 2)
    slopes = torch.autograd.grad(loss, list(network.parameters()))
    assert [bool(slope.abs().max() > 0) for slope in slopes] == [False, False, False, True]


def test_refuses() -> None:
    with pytest.raises(
        ValueError, match=r"weight must be a float tensor \(out, in, \.\.\.\), got torch.float32 \(3,\)"
    ):
        initializers.he_normal(torch.ones(3))
    with pytest.raises(ValueError, match=r"weight must be a float tensor .* got torch.int64"):
        initializers.zeros(torch.ones(3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="std must be at least 0, got -1"):
        initializers.small_normal(LINEAR, std=-1)
    with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
        second_moments(initializers.he_normal, layers=0)
