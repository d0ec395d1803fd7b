"""Carlini-Wagner against a distance in closed form, PGD, the library the field uses, and Adam."""

import math
from importlib import import_module

import pytest
import torch
from torch import Tensor

from pellucid.attack import Trace, carlini_wagner, outcome, pgd
from pellucid.attack.carlini_wagner import _adam, _Bisection, _Some

from .nets import Linear, called, small_images, small_net

QUICK = {"steps": 60, "rounds": 4, "constant": 0.3, "lr": 0.04}


def quick(net: torch.nn.Module, images: Tensor, targets: Tensor, **told: object) -> Tensor:
    return carlini_wagner(net, images, targets, **(QUICK | told))  # type: ignore[arg-type]


def sizes(change: Tensor) -> Tensor:
    found: Tensor = change.flatten(1).norm(dim=1)
    return found


def test_the_distance_on_a_linear_model_is_found() -> None:
    weight = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 4
    gray = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
    slope = weight[0] - weight[1]
    net = Linear(weight, torch.tensor([0.8 - slope.sum().item() / 2, 0.0], dtype=torch.float64))  # a lead of 0.8
    made = quick(net, gray, torch.zeros(1, dtype=torch.int64), rounds=7, steps=100)
    assert called(net, made).item() == 1
    assert sizes(made - gray).item() == pytest.approx(0.8 / slope.norm().item(), rel=0.03)


def test_it_goes_no_farther_than_foolbox() -> None:
    foolbox = pytest.importorskip("foolbox")
    net, images = small_net(1), small_images(8, seed=11)
    targets = called(net, images)
    peer = foolbox.attacks.L2CarliniWagnerAttack(steps=60, binary_search_steps=4, stepsize=0.04, initial_const=0.3)
    theirs = peer(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), images, targets, epsilons=None)[1]
    ours = quick(net, images, targets)
    assert outcome(net, images, ours, targets).success.all()
    assert bool((sizes(ours - images) <= 1.05 * sizes(theirs - images)).all())


def test_it_goes_no_farther_than_pgd() -> None:
    """PGD's smallest radius, by halving it six times."""
    net, images = small_net(2), small_images(2, seed=12)
    targets = called(net, images)
    ours = sizes(quick(net, images, targets) - images)
    for image, target, size in zip(images, targets, ours, strict=True):
        low, high = 0.0, 2 * float(size)
        for _ in range(6):
            epsilon = (low + high) / 2
            made = pgd(net, image[None], target[None], epsilon=epsilon, norm="l2", steps=30, loss="margin")
            low, high = (low, epsilon) if called(net, made) != target else (epsilon, high)
        assert float(size) <= 1.05 * high


@pytest.mark.parametrize("targeted", [False, True])
def test_confidence_is_a_lead_in_logits(targeted: bool) -> None:
    net, images = small_net(0), small_images(4, seed=10)
    targets = (called(net, images) + targeted) % 5
    plain = quick(net, images, targets, targeted=targeted)
    sure = quick(net, images, targets, targeted=targeted, confidence=0.5)
    assert outcome(net, images, sure, targets, targeted=targeted).success.all()
    logits = net(sure).detach()
    own, other = logits.gather(1, targets[:, None])[:, 0], logits.scatter(1, targets[:, None], -math.inf).amax(1)
    assert float((own - other if targeted else other - own).min()) >= 0.5 - 1e-5
    assert bool((sizes(sure - images) > sizes(plain - images)).all())


def test_its_adam_is_torchs() -> None:
    source = torch.Generator().manual_seed(0)
    first = torch.randn(2, 3, 4, 4, generator=source)
    theirs = first.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.03)
    ours = _Some(
        torch.arange(2), torch.ones(2), first, torch.zeros_like(first), torch.zeros_like(first), torch.zeros(2)
    )
    for step in range(1, 6):
        gradient = torch.randn(2, 3, 4, 4, generator=source)
        theirs.grad = gradient
        optimizer.step()
        _adam(ours, gradient, step, 0.03)
    torch.testing.assert_close(ours.free, theirs.detach())


def test_its_gradient_is_that_of_the_loss_by_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam, which knows no scale, hides a wrong one."""
    net, images = small_net(1).double(), small_images(2, seed=11).double()
    targets = called(net, images)
    seen: list[tuple[Tensor, Tensor]] = []

    def adam(some: _Some, gradient: Tensor, step: int, lr: float) -> None:
        seen.append((some.free.clone(), gradient))
        _adam(some, gradient, step, lr)

    monkeypatch.setattr(import_module("pellucid.attack.carlini_wagner"), "_adam", adam)
    carlini_wagner(net, images, targets, constant=3.0, steps=4, rounds=1, abort_early=False)
    assert len(seen) == 4
    for free, gradient in seen:
        leaf = free.requires_grad_()
        made = (leaf.tanh() + 1) / 2
        logits = net(made)
        own = logits.gather(1, targets[:, None])[:, 0]
        shortfall = (own - logits.scatter(1, targets[:, None], -math.inf).amax(1)).clamp(min=0)
        ((made - images).square().sum() + 3 * shortfall.sum()).backward()
        torch.testing.assert_close(gradient, leaf.grad)


def test_the_constant_grows_until_it_succeeds_and_is_bisected_then() -> None:
    search, rows = _Bisection(torch.tensor([1.0, 1.0])), torch.tensor([0, 1])
    found = []
    for reached in ([False, True], [False, True], [True, False], [False, True]):
        search.halve(rows, torch.tensor(reached))
        found.append(search.constant.tolist())
    assert found == [[10.0, 0.5], [100.0, 0.25], [55.0, 0.375], [77.5, 0.3125]]


def test_ending_a_round_early_saves_passes_and_little_else() -> None:
    net, images = small_net(1), small_images(4, seed=11)
    targets = called(net, images)
    traces = Trace(), Trace()
    early, full = (
        sizes(quick(net, images, targets, abort_early=on, steps=100, rounds=3, trace=trace) - images)
        for on, trace in zip((True, False), traces, strict=True)
    )
    torch.testing.assert_close(early, full, rtol=0.05, atol=0)
    assert traces[0].backward.sum() < traces[1].backward.sum()
    assert traces[1].backward.tolist() == traces[1].iterations.tolist() == [300] * 4
    assert traces[1].forward.tolist() == [301] * 4
    assert len(traces[1].history) == 300


def test_where_nothing_is_found_the_image_is_returned() -> None:
    net, images = small_net(), small_images()
    assert torch.equal(carlini_wagner(net, images, called(net, images), steps=1, rounds=1), images)


def test_a_bound_ends_the_way() -> None:
    net, images = small_net(0), small_images(3, seed=10)
    targets = called(net, images)
    full = quick(net, images, targets)
    assert torch.equal(quick(net, images, targets, epsilon=10.0), full)
    size = sizes(full - images)
    short = quick(net, images, targets, epsilon=float(size.min()) / 2)
    torch.testing.assert_close(sizes(short - images), size.min().expand(3) / 2)
    assert not outcome(net, images, short, targets).success.any()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"confidence": -1.0}, "confidence must be at least 0, got -1.0"),
        ({"constant": 0.0}, "constant must be above 0 and finite, got 0.0"),
        ({"lr": -0.1}, "lr must be above 0 and finite, got -0.1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        carlini_wagner(net, images, called(net, images), **told)  # type: ignore[arg-type]
