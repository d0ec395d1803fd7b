"""Every optimiser against torch.optim and against what can be worked out by hand."""

import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.foundations import optimizers
from pellucid.foundations.formula import formula
from pellucid.methods import Method, methods, options

Function = Callable[[Tensor], Tensor]
each = pytest.mark.parametrize("method", methods(optimizers).values(), ids=list(methods(optimizers)))
SIDES = torch.diag(torch.tensor([1.0, 4.0, 9.0, 0.5], dtype=torch.float64))
TURN = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)).Q
BOWL = TURN @ SIDES @ TURN.T
LOWEST = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
START = torch.tensor([-1.2, 1.0, 0.3, -0.7], dtype=torch.float64)


def bowl(weights: Tensor) -> Tensor:
    value: Tensor = (weights - LOWEST) @ BOWL @ (weights - LOWEST) / 2
    return value


def valley(weights: Tensor) -> Tensor:
    """Rosenbrock's, in pairs: curved, not convex."""
    return (100 * (weights[1:] - weights[:-1] ** 2) ** 2 + (1 - weights[:-1]) ** 2).sum()


def wavy(weights: Tensor) -> Tensor:
    return (weights.sin() * torch.arange(1.0, 5.0, dtype=weights.dtype)).sum() + 0.1 * weights @ weights


def by_torch(name: str, function: Function, start: Tensor, steps: int, **told: Any) -> Tensor:
    weights = start.clone().requires_grad_()
    optimizer = getattr(torch.optim, name)([weights], **told)
    path = [start.clone()]

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = function(weights)
        torch.autograd.backward(value)
        return value

    for _ in range(steps):
        optimizer.step(closure)
        path.append(weights.detach().clone())
    return torch.stack(path)


TWINS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("sgd", {"lr": 0.02}, "SGD", {"lr": 0.02}),
    ("sgd", {"lr": 0.02, "weight_decay": 0.1}, "SGD", {"lr": 0.02, "weight_decay": 0.1}),
    ("momentum", {"lr": 0.01}, "SGD", {"lr": 0.01, "momentum": 0.9}),
    ("momentum_average", {"lr": 0.1, "beta": 0.8}, "SGD", {"lr": 0.1 * (1 - 0.8), "momentum": 0.8}),
    ("nesterov", {"lr": 0.01}, "SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    ("rmsprop", {"lr": 0.03}, "RMSprop", {"lr": 0.03, "alpha": 0.9, "eps": 1e-8}),
    ("adagrad", {"lr": 0.3}, "Adagrad", {"lr": 0.3}),
    ("adam", {"lr": 0.05}, "Adam", {"lr": 0.05}),
    ("adamw", {"lr": 0.05, "weight_decay": 0.1}, "AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    ("lbfgs", {"lr": 0.2, "line_search": False}, "LBFGS", {"lr": 0.2, "max_iter": 1, "history_size": 10}),
]


@pytest.mark.parametrize("function", [bowl, wavy])
@pytest.mark.parametrize(("name", "ours", "twin", "theirs"), TWINS, ids=[twin[0] + str(twin[1]) for twin in TWINS])
def test_fifty_steps_equal_torch(
    name: str, ours: dict[str, Any], twin: str, theirs: dict[str, Any], function: Function
) -> None:
    path = getattr(optimizers, name)(function, START, steps=50, **ours)
    expected = by_torch(twin, function, START, 50, **theirs)
    assert (path[50] - START).abs().max() > 0.1
    torch.testing.assert_close(path, expected, rtol=1e-10, atol=1e-10)


def test_the_defaults_are_torchs() -> None:
    torch.testing.assert_close(optimizers.adam(wavy, START, steps=9), by_torch("Adam", wavy, START, 9))
    torch.testing.assert_close(optimizers.adamw(wavy, START, steps=9), by_torch("AdamW", wavy, START, 9))
    torch.testing.assert_close(optimizers.adagrad(wavy, START, steps=9), by_torch("Adagrad", wavy, START, 9))


def test_adamw_without_decay_is_adam() -> None:
    adam = optimizers.adam(wavy, START, lr=0.05)
    assert torch.equal(optimizers.adamw(wavy, START, lr=0.05, weight_decay=0), adam)
    assert not torch.equal(optimizers.adamw(wavy, START, lr=0.05, weight_decay=0.1), adam)


def test_for_plain_descent_penalty_coupled_and_decoupled_decay_coincide() -> None:
    gamma = 0.07
    penalised = optimizers.sgd(lambda w: bowl(w) + gamma * w @ w, START, lr=0.03)
    coupled = optimizers.sgd(bowl, START, lr=0.03, weight_decay=2 * gamma)
    decoupled = optimizers.sgd(bowl, START, lr=0.03, weight_decay=2 * gamma, decoupled=True)
    torch.testing.assert_close(coupled, penalised, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(decoupled, penalised, rtol=1e-12, atol=1e-12)


def test_for_adam_penalty_and_decoupled_decay_differ() -> None:
    gamma = 0.07
    penalised = optimizers.adam(lambda w: bowl(w) + gamma * w @ w, START, lr=0.03)
    decoupled = optimizers.adamw(bowl, START, lr=0.03, weight_decay=2 * gamma)
    assert (penalised - decoupled).abs().max() > 0.05


def test_momentum_on_a_constant_slope_reaches_its_final_velocity() -> None:
    path = optimizers.momentum(lambda w: w.sum(), START, steps=300, lr=0.01, momentum=0.9)
    torch.testing.assert_close(path[-2] - path[-1], torch.full_like(START, 0.01 / (1 - 0.9)))


def test_nesterov_takes_its_slope_at_the_place_ahead() -> None:
    lr, share, place, velocity = 0.01, 0.9, START.clone(), torch.zeros_like(START)
    ahead = [START]
    for _ in range(20):  # the papers' form: u and its velocity; the slope is taken at u - lr momentum v
        slope = BOWL @ (place - lr * share * velocity - LOWEST)
        velocity = share * velocity + slope
        place = place - lr * velocity
        ahead.append(place - lr * share * velocity)
    path = optimizers.nesterov(bowl, START, steps=20, lr=lr, momentum=share)
    torch.testing.assert_close(path, torch.stack(ahead), rtol=1e-12, atol=1e-12)


def test_adams_first_step_is_as_long_as_lr() -> None:
    path = optimizers.adam(bowl, START, steps=1, lr=0.01, epsilon=0)
    torch.testing.assert_close(path[1] - path[0], -0.01 * (BOWL @ (START - LOWEST)).sign())


def test_adagrads_steps_on_a_constant_slope_fall_as_one_over_root_t() -> None:
    path = optimizers.adagrad(lambda w: 3 * w.sum(), START, steps=100, lr=0.5, epsilon=0)
    steps = path[:-1, 0] - path[1:, 0]
    torch.testing.assert_close(steps, 0.5 / torch.arange(1, 101, dtype=torch.float64).sqrt())


def test_newton_solves_a_parabola_in_one_step() -> None:
    torch.testing.assert_close(optimizers.newton(bowl, START, steps=1)[1], LOWEST)


def test_newton_is_drawn_to_a_saddle_and_damping_frees_it() -> None:
    start = torch.tensor([0.5, 0.1], dtype=torch.float64)

    def saddle(weights: Tensor) -> Tensor:
        return weights[0] ** 2 - weights[1] ** 2 + weights[1] ** 4  # lowest at (0, +-1/sqrt 2)

    drawn = optimizers.newton(saddle, start, steps=10)
    freed = optimizers.newton(saddle, start, steps=60, damping=3)
    torch.testing.assert_close(drawn[-1], torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(freed[-1], torch.tensor([0.0, 0.5**0.5], dtype=torch.float64))


def test_lbfgs_with_its_line_search_equals_torch_on_a_parabola() -> None:
    path = optimizers.lbfgs(bowl, START, steps=12, flatness=0.9)
    expected = by_torch("LBFGS", bowl, START, 12, max_iter=1, history_size=10, line_search_fn="strong_wolfe")
    torch.testing.assert_close(path, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("size", [4, 10, 30])
def test_lbfgs_solves_a_parabola_in_fewer_than_two_d_steps(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    root, start = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in [(size, size), (size,)])
    curvature = root @ root.T / size + 0.1 * torch.eye(size)
    path = optimizers.lbfgs(lambda w: w @ curvature @ w / 2, start, steps=2 * size - 1)
    assert path[-1].norm() < 1e-5 * start.norm()


def test_lbfgs_finds_the_lowest_place_of_a_curved_valley_and_stays_there() -> None:
    path = optimizers.lbfgs(valley, START.abs(), steps=80)
    torch.testing.assert_close(path[-1], torch.ones_like(START))
    values = torch.stack([valley(weights) for weights in path])
    assert (values[1:] <= values[:-1]).all()
    assert torch.equal(path[-1], path[-2])


def test_each_length_of_lbfgs_meets_the_strong_wolfe_conditions() -> None:
    path = optimizers.lbfgs(valley, START, steps=20).requires_grad_()
    (slopes,) = torch.autograd.grad(sum(valley(weights) for weights in path), path)  # type: ignore[arg-type]
    for here, there, slope, after in zip(path[:-1], path[1:], slopes[:-1], slopes[1:], strict=True):
        step = there - here
        assert step @ slope < 0
        assert valley(there) <= valley(here) + 1e-4 * step @ slope + 1e-12
        assert (step @ after).abs() <= 0.1 * (step @ slope).abs() + 1e-12


def test_lbfgs_warns_of_mini_batches() -> None:
    draws = iter(torch.randn(99, 4, dtype=torch.float64))
    with pytest.warns(UserWarning, match="L-BFGS wants the whole batch"):
        optimizers.lbfgs(lambda w: bowl(w) + w @ next(draws), START, steps=1)


@pytest.mark.parametrize("name", ["sgd", "momentum", "momentum_average", "nesterov", "rmsprop", "adagrad", "adam"])
def test_the_function_is_asked_once_a_step(name: str) -> None:
    asked = []

    def counted(weights: Tensor) -> Tensor:
        asked.append(weights)
        return bowl(weights)

    path = getattr(optimizers, name)(counted, START, steps=7)
    assert len(asked) == 7
    torch.testing.assert_close(torch.stack(asked).detach(), path[:-1])


def test_the_face_is_the_folder() -> None:
    files = sorted(m.name for m in pkgutil.iter_modules(optimizers.__path__) if m.name[0] != "_")
    assert sorted(optimizers.__all__) == list(optimizers.__all__) == files


@each
def test_each_keeps_the_start_and_goes_down(method: Method) -> None:
    before = START.clone()
    path = method(bowl, START, steps=30)
    assert path.shape == (31, 4)
    assert path.dtype == torch.float64
    assert not path.requires_grad
    assert torch.equal(START, before)
    assert torch.equal(path[0], START)
    assert bowl(path[-1]) < bowl(START)
    assert method(bowl, START.float(), steps=2).dtype == torch.float32


@each
def test_each_writes_its_formula_and_tells_its_options(method: Method) -> None:
    assert "w = w -" in formula(method)
    assert all(option.told for option in options(method))


@each
def test_each_works_where_gradients_are_off_and_takes_no_step_when_asked_for_none(method: Method) -> None:
    with torch.no_grad():
        assert torch.equal(method(bowl, START, steps=0), START[None])
        assert method(bowl, START, steps=1).shape == (2, 4)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("sgd", {"lr": -1.0}, "lr must be at least 0, got -1"),
    ("sgd", {"steps": -1}, "steps must be at least 0, got -1"),
    ("sgd", {"weight_decay": -0.1}, "weight_decay must be at least 0"),
    ("momentum", {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
    ("momentum_average", {"beta": -0.1}, r"beta must be in \[0, 1\), got -0.1"),
    ("nesterov", {"momentum": 1.5}, r"momentum must be in \[0, 1\)"),
    ("rmsprop", {"decay": 1.0}, r"decay must be in \[0, 1\)"),
    ("adam", {"beta1": 1.0}, r"beta1 must be in \[0, 1\), got 1.0"),
    ("adam", {"beta2": float("nan")}, r"beta2 must be in \[0, 1\), got nan"),
    ("adagrad", {"epsilon": -1e-8}, "epsilon must be at least 0"),
    ("newton", {"damping": -1.0}, "damping must be at least 0"),
    ("lbfgs", {"history": 0}, "history must be at least 1"),
    ("lbfgs", {"flatness": 1.0}, "flatness must be in"),
]


@pytest.mark.parametrize(("name", "told", "message"), REFUSED)
def test_refuses_options(name: str, told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(optimizers, name)(bowl, START, **told)


def test_refuses_other_starts_and_functions() -> None:
    with pytest.raises(ValueError, match=r"start must be a float tensor \(D,\), got torch.float64 \(2, 2\)"):
        optimizers.sgd(bowl, START.view(2, 2))
    with pytest.raises(ValueError, match="start must be finite"):
        optimizers.adam(bowl, START * torch.nan)
    with pytest.raises(ValueError, match=r"function must give one number that depends on the weights, got \(4,\)"):
        optimizers.sgd(lambda w: w, START)
    with pytest.raises(ValueError, match="at most 200 weights for Newton's method, got 201: take lbfgs"):
        optimizers.newton(lambda w: w @ w, torch.ones(201))
    with pytest.raises(ValueError, match=r"damping must be larger than 0\.0: the curvature has no inverse"):
        optimizers.newton(lambda w: (w**3).sum(), torch.zeros(2))


def test_a_diverging_descent_says_where_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"function became (inf|nan) at step \d+, lr 2.0: lower lr"):
        optimizers.sgd(bowl, START, steps=1000, lr=2.0)
