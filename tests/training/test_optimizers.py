from typing import Any

import pytest
import torch
from torch import nn

from pellucid.training import optimizer
from pellucid.training.optimizers import NAMES


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3)).double()


REFERENCE: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW([{"params": [q], "weight_decay": 0.01 * (q.ndim > 1)} for q in p], lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_is_the_one_of_that_name(name: str) -> None:
    one, other = net(), net()
    ours, theirs = optimizer(name, one, lr=0.01), REFERENCE[name](other.parameters())
    images = torch.rand(6, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for _ in range(20):
        for module, engine in ((one, ours), (other, theirs)):
            engine.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(module(images), torch.arange(6) % 3))
            engine.step()
    for mine, reference in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-12)


def test_biases_and_norms_are_not_decayed() -> None:
    module = net()
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    engine = optimizer("sgd", module, lr=0.1, weight_decay=0.5)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    engine.step()
    for name, parameter in module.named_parameters():
        share = 0.95 if parameter.ndim >= 2 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * share)


def test_all_are_decayed_on_request() -> None:
    engine = optimizer("adamw", net(), lr=0.1, weight_decay=0.5, decay_all=True)
    assert [group["weight_decay"] for group in engine.param_groups] == [0.5]


def test_frozen_parameters_are_left_out() -> None:
    module = net()
    next(module.children()).requires_grad_(requires_grad=False)
    counted = sum(len(group["params"]) for group in optimizer("adam", module, lr=0.1).param_groups)
    assert counted == 4  # of batch norm and the linear layer


@pytest.mark.parametrize("name", NAMES)
def test_refuses_a_rate_of_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="lr must be positive, got 0"):
        optimizer(name, net(), lr=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "adem"}, r"optimizer must be one of sgd, .*, got 'adem'; did you mean adam"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1"),
        ({"beta2": -0.1}, r"beta2 must be in \[0, 1\), got -0.1"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1"),
        ({"name": "lbfgs", "weight_decay": 0.1}, "weight_decay must be 0 with lbfgs, got 0.1"),
        ({"module": nn.ReLU()}, "the module has no parameter that needs a gradient: nothing to train"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    asked = {"name": "sgd", "module": net(), "lr": 0.1, **options}
    with pytest.raises(ValueError, match=message):
        optimizer(asked.pop("name"), asked.pop("module"), **asked)
