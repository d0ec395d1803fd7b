"""APGD against the paper in plain loops, closed forms, the library the field uses, and itself."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.attack import Trace, apgd, fgsm, outcome, pgd
from pellucid.attack._balls import anywhere, sizes
from pellucid.attack._halving import checkpoints, halving
from pellucid.attack._sparse import onto
from pellucid.attack._track import begun

from .nets import Linear, called, rough_net, small_images, small_net

WEIGHT = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
GRAY = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
FAR = torch.tensor([30.0, 0.0], dtype=torch.float64)
"""A bias that keeps class 0 in front whatever is done."""
ZERO = torch.zeros(1, dtype=torch.int64)


def test_the_checkpoints_are_the_papers() -> None:
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert checkpoints(10) == (3, 5, 6, 7, 8, 9)
    assert checkpoints(1) == ()


def by_hand(net: nn.Module, image: Tensor, target: Tensor, ball: tuple[str, float], steps: int) -> list[float]:
    """Algorithm 1 for one image, line by line: the loss at every iterate."""
    norm, radius = ball

    def into(place: Tensor) -> Tensor:
        change = place - image
        if norm == "linf":
            return (image + change.clamp(-radius, radius)).clamp(0, 1)
        return (image + change * min(1.0, radius / max(1e-12, float(change.norm())))).clamp(0, 1)

    def ask(place: Tensor) -> tuple[float, Tensor]:
        leaf = place.clone().requires_grad_()
        value = F.cross_entropy(net(leaf), target)
        return value.item(), torch.autograd.grad(value, leaf)[0]

    def along(slope: Tensor) -> Tensor:
        return slope.sign() if norm == "linf" else slope / slope.norm()

    share, shares = 0.22, [0.0, 0.22]
    while share < 1:
        share += max(shares[-1] - shares[-2] - 0.03, 0.06)
        shares.append(share)
    checks = [math.ceil(round(each * steps, 9)) for each in shares]
    start = anywhere(image.shape, radius, norm, torch.Generator().manual_seed(0))
    place = into(image + start.to(image))
    value, slope = ask(place)
    values, best, best_place, best_slope = [value], value, place, slope
    length, was_halved, best_then, last, rises = 2 * radius, False, -math.inf, place, 0
    for step in range(1, steps):
        ahead = into(place + length * along(slope))
        if step > 1:
            ahead = into(place + 0.75 * (ahead - place) + 0.25 * (place - last))
        last, place = place, ahead
        value, slope = ask(place)
        rises += value > values[-1]
        values.append(value)
        if value > best:
            best, best_place, best_slope = value, place, slope
        if step in checks:
            since = step - checks[checks.index(step) - 1]
            was_halved = rises < 0.75 * since or (not was_halved and best <= best_then)
            if was_halved:
                length, place, slope = length / 2, best_place, best_slope
            best_then, rises = best, 0
    return values


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.02), ("l2", 0.2)])
def test_every_step_is_the_papers(norm: str, epsilon: float) -> None:
    net, images = rough_net(0).double(), small_images(20, side=8).double()
    targets = called(net, images)
    trace = Trace()
    made = apgd(net, images, targets, epsilon=epsilon, norm=norm, steps=40, trace=trace)
    history = torch.stack(trace.history)
    stands = ~outcome(net, images, made, targets).success
    assert stands.sum() >= 3
    for place in stands.nonzero()[:, 0].tolist():
        expected = by_hand(net, images[[place]], targets[[place]], (norm, epsilon), 40)
        torch.testing.assert_close(history[:, place], torch.tensor(expected), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.3), ("l1", 0.4), ("l1", 2.2)])
def test_the_optimum_on_a_linear_model_is_reached(norm: str, epsilon: float) -> None:
    """f = z0 - z1 falls by epsilon times the dual norm; an l1 change spends 0.5 on each of the largest weights."""
    model, slope = Linear(WEIGHT, FAR), (WEIGHT[0] - WEIGHT[1])[None]
    made = apgd(model, GRAY, ZERO, epsilon=epsilon, norm=norm, loss="margin")
    before, after = ((model(x)[0, 0] - model(x)[0, 1]).item() for x in (GRAY, made))
    ordered = slope.flatten().abs().sort(descending=True).values
    spent = (epsilon - 0.5 * torch.arange(len(ordered))).clamp(0, 0.5)
    best = {"linf": epsilon * ordered.sum(), "l2": epsilon * ordered.norm(), "l1": (ordered * spent).sum()}[norm]
    assert before - after == pytest.approx(best.item(), rel=1e-2 if norm == "l1" else 1e-6)
    assert sizes(made - GRAY, norm).item() <= epsilon + 1e-9


def test_it_is_as_good_as_torchattacks() -> None:
    """At the same settings: the highest loss of what stands, and how many stand."""
    torchattacks = pytest.importorskip("torchattacks")
    for norm, theirs, epsilon in (("linf", "Linf", 0.01), ("l2", "L2", 0.1)):
        net, images = rough_net(1), small_images(48, side=8, seed=1)
        targets = called(net, images)
        torch.manual_seed(0)  # its start is drawn globally
        known = torchattacks.APGD(net, norm=theirs, eps=epsilon, steps=40)
        _, stands, best, _ = known.attack_single_run(images, targets)
        trace = Trace()
        made = apgd(net, images, targets, epsilon=epsilon, norm=norm, steps=40, trace=trace)
        ours = ~outcome(net, images, made, targets).success
        assert 10 < stands.sum() < 40
        assert ours.sum() <= stands.sum() + 1
        both = ours & stands
        highest = torch.stack(trace.history).amax(dim=0)
        assert float(highest[both].mean()) >= 0.99 * float(best[both].mean())


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.02), ("l2", 0.2), ("l1", 1.5)])
def test_it_is_at_least_as_strong_as_plain_steps(norm: str, epsilon: float) -> None:
    broken = dict.fromkeys(("fgsm", "pgd", "apgd"), 0)
    for seed in range(2):
        net, images = rough_net(seed), small_images(48, side=8, seed=seed)
        targets = called(net, images)
        for name, made in {
            "fgsm": fgsm(net, images, targets, epsilon=epsilon, norm=norm),
            "pgd": pgd(net, images, targets, epsilon=epsilon, norm=norm, steps=30),
            "apgd": apgd(net, images, targets, epsilon=epsilon, norm=norm, steps=30),
        }.items():
            broken[name] += int(outcome(net, images, made, targets).success.sum())
    assert broken["apgd"] >= broken["pgd"] >= broken["fgsm"]
    assert 0 < broken["apgd"] < 96


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("targeted", [False, True])
def test_compacting_changes_nothing_but_the_passes(norm: str, targeted: bool) -> None:
    net, images = small_net(2).double(), small_images(12).double()
    targets = (called(net, images) + targeted) % 5
    epsilon = {"linf": 0.08, "l2": 0.8, "l1": 6.0}[norm]
    traces = Trace(), Trace()
    told: dict[str, Any] = {"epsilon": epsilon, "norm": norm, "targeted": targeted, "restarts": 2, "steps": 12}
    made = [
        apgd(net, images, targets, compact=on, trace=trace, **told)
        for on, trace in zip((True, False), traces, strict=True)
    ]
    torch.testing.assert_close(*made, rtol=0, atol=1e-9)
    assert traces[0].forward.sum() < traces[1].forward.sum()
    assert torch.equal(traces[0].iterations, traces[1].iterations)
    assert bool(outcome(net, images, made[0], targets, targeted=targeted).success.any())


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_it_costs_a_pass_a_step_and_two_looks(norm: str) -> None:
    model, trace = Linear(WEIGHT, FAR), Trace()
    apgd(model, GRAY, ZERO, epsilon=0.01, norm=norm, steps=10, restarts=3, trace=trace)
    assert trace.backward.tolist() == [30]
    assert trace.forward.tolist() == [1 + 3 * 11], "the clean image, and of each start its steps and its end"
    assert len(trace.history) == 30


def test_more_restarts_never_lose_a_success() -> None:
    net, images = rough_net(4), small_images(24, side=8)
    targets = called(net, images)
    one, four = (
        outcome(net, images, apgd(net, images, targets, epsilon=0.005, steps=5, restarts=n), targets).success
        for n in (1, 4)
    )
    assert bool((four | ~one).all())


def test_an_unbounded_attack_breaks_everything() -> None:
    net, images = small_net(5), small_images(8)
    targets = called(net, images)
    assert outcome(net, images, apgd(net, images, targets, epsilon=1.0), targets).success.all()


def test_a_sparse_change_gets_sparser_where_that_pays() -> None:
    model = Linear(WEIGHT, FAR)
    few, many = (
        int((apgd(model, GRAY, ZERO, epsilon=0.4, norm="l1", steps=steps, loss="margin") != GRAY).sum())
        for steps in (100, 4)
    )
    assert few <= 3 < many


def test_the_l1_projection_is_the_nearest_point_of_ball_and_box() -> None:
    """Of a convex set the nearest point is the one from which none lies ahead; the farthest ahead is found greedily."""
    source = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, 4, 4, generator=source, dtype=torch.float64)
    images[0, :, 0] = 1.0
    places = images + 0.7 * torch.randn(6, 3, 4, 4, generator=source, dtype=torch.float64)
    for radius in (0.5, 3.0, 9.0, 99.0):
        nearest = onto(images, places, radius)
        assert 0 <= float(nearest.min()) <= float(nearest.max()) <= 1
        rooms = sizes(places.clamp(0, 1) - images, "l1")
        torch.testing.assert_close(sizes(nearest - images, "l1"), rooms.clamp(max=radius))
        pull = (places - nearest).flatten(1)
        room = torch.where(pull > 0, 1 - images.flatten(1), images.flatten(1))
        order = pull.abs().argsort(dim=1, descending=True)
        spent = room.gather(1, order).cumsum(dim=1).clamp(max=radius).diff(dim=1, prepend=torch.zeros(6, 1))
        ahead = (pull.abs().gather(1, order) * spent).sum(dim=1)
        torch.testing.assert_close(ahead, (pull * (nearest - images).flatten(1)).sum(dim=1))
    assert torch.equal(onto(images, places, 0.0), images)


def test_steps_are_halved_where_few_rose_or_nothing_was_gained() -> None:
    nothing = torch.zeros(4, 1, 1, 1)
    track = begun(torch.arange(4), nothing, nothing)
    pace = halving(track, 1.0, "linf", 100)

    def told(turned: Tensor | None) -> list[bool]:
        assert turned is not None
        found: list[bool] = turned.tolist()
        return found

    assert pace.turned(21, track) is None
    track.rises, track.top_value = torch.tensor([16, 17, 22, 22]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert told(pace.turned(22, track)) == [True, False, False, False]  # 75 % of 22 is 16.5
    assert track.rises.tolist() == [0] * 4
    track.rises, track.top_value = torch.full((4,), 19), torch.tensor([1.0, 2.0, 3.5, 4.0])
    assert told(pace.turned(41, track)) == [False, True, False, True], "the first was halved just now"
    assert pace.length.tolist() == [1.0, 1.0, 2.0, 1.0]


def test_a_saturated_loss_is_told() -> None:
    model = Linear(WEIGHT.float() * 1e4, torch.tensor([1e6, 0.0]))
    with pytest.warns(UserWarning, match="gradient of 1 of 1 images is zero at the start") as told:
        apgd(model, GRAY.float(), ZERO, epsilon=0.01, steps=3)
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"epsilon": 8}, "epsilon must be in image units, at most 1, got 8: 8/255 was meant"),
        ({"norm": "l3"}, "norm must be one of linf, l2, l1, got 'l3'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"loss": "mse"}, "loss must be one of ce, margin, dlr, got 'mse'"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_options_are_refused(told: dict[str, Any], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        apgd(net, images, called(net, images), **told)


def test_a_loss_that_needs_more_classes_says_so() -> None:
    with pytest.raises(ValueError, match="loss dlr needs 3 classes, the model has 2: use margin"):
        apgd(Linear(WEIGHT), GRAY, called(Linear(WEIGHT), GRAY), loss="dlr")
