"""DeepFool against distances in closed form, the library the field uses, and itself."""

import math

import pytest
import torch
from torch import Tensor

from pellucid.attack import Trace, deepfool, outcome

from .nets import Linear, called, small_images, small_net

WEIGHT = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 4
GRAY = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
BIAS = 2 - WEIGHT.flatten(1).sum(dim=1) / 2 + torch.tensor([1.0, 0.4, 0.2, -3.0], dtype=torch.float64)
"""At grey the classes stand in this order, the last one far behind."""
NET = Linear(WEIGHT, BIAS)
ZERO = torch.zeros(1, dtype=torch.int64)


def nearest(norm: str, rivals: list[int]) -> tuple[int, float]:
    """The class whose boundary is nearest to grey, and how far it is."""
    gaps = (NET(GRAY)[0, 0] - NET(GRAY)[0, rivals]).detach()
    slopes = (WEIGHT[rivals] - WEIGHT[0]).flatten(1).norm(p=2 if norm == "l2" else 1, dim=1)
    found = (gaps + 1e-4) / slopes
    return rivals[int(found.argmin())], found.min().item()


def sized(change: Tensor, norm: str) -> float:
    return float(change.flatten().norm(p=2 if norm == "l2" else math.inf))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_distance_on_a_linear_model_is_exact(norm: str) -> None:
    rival, distance = nearest(norm, [1, 2, 3])
    trace = Trace()
    made = deepfool(NET, GRAY, ZERO, norm=norm, trace=trace)
    assert sized(made - GRAY, norm) == pytest.approx(1.02 * distance, rel=1e-9)
    assert called(NET, made).item() == rival
    assert trace.iterations.tolist() == [1]
    assert trace.history[0].tolist() == [pytest.approx(-0.6)], "the lead of class 1"


def test_only_the_candidates_are_looked_at() -> None:
    """Class 2, a little behind, has the steepest slope, so that its boundary is nearest."""
    net = Linear(WEIGHT.clone(), BIAS.clone())
    net.weight.data[2] *= 5
    net.bias.data[2] -= 4 * WEIGHT[2].sum() / 2
    assert called(net, deepfool(net, GRAY, ZERO)).item() == 2
    assert called(net, deepfool(net, GRAY, ZERO, candidates=2)).item() == 1, "the runner-up alone"
    trace = Trace()
    deepfool(net, GRAY, ZERO, candidates=3, trace=trace)
    assert (trace.forward.tolist(), trace.backward.tolist()) == ([3], [2])


@pytest.mark.parametrize(("norm", "dual"), [("l2", 2), ("linf", 1)])
def test_what_the_clamp_takes_is_left_to_the_next_step(norm: str, dual: int) -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0], [3.0, 1.0, -2.0]], dtype=torch.float64).view(2, 3, 1, 1)
    net = Linear(weight, torch.tensor([3.3, 0.0], dtype=torch.float64))
    image = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64).view(1, 3, 1, 1)  # the steepest is at its end
    trace = Trace()
    made = deepfool(net, image, ZERO, norm=norm, trace=trace)
    free = weight[1, 1:].flatten().norm(p=dual).item()
    assert sized(made - image, norm) == pytest.approx(0.8 / free, rel=0.02)
    assert made[0, 0].item() == 1
    assert called(net, made).item() == 1
    assert trace.iterations.item() > 3


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_goes_no_farther_than_foolbox(norm: str) -> None:
    foolbox = pytest.importorskip("foolbox")
    kind = foolbox.attacks.L2DeepFoolAttack if norm == "l2" else foolbox.attacks.LinfDeepFoolAttack
    net, images = small_net(1), small_images(12, seed=11)
    targets = called(net, images)
    theirs = kind()(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), images, targets, epsilons=None)[1]
    ours = deepfool(net, images, targets, norm=norm)
    assert outcome(net, images, ours, targets).success.all()
    for one, other in zip(ours - images, theirs - images, strict=True):
        assert sized(one, norm) <= 1.02 * sized(other, norm)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_compacting_changes_nothing_but_the_passes(norm: str) -> None:
    net, images = small_net(2).double(), small_images(12, seed=4).double()
    targets = called(net, images)
    targets[0] = (targets[0] + 1) % 5  # wrong already
    traces = Trace(), Trace()
    made = [
        deepfool(net, images, targets, norm=norm, compact=on, trace=trace)
        for on, trace in zip((True, False), traces, strict=True)
    ]
    torch.testing.assert_close(*made, rtol=0, atol=1e-9)
    assert torch.equal(made[0][0], images[0])
    assert torch.equal(traces[0].iterations, traces[1].iterations)
    assert traces[0].forward.sum() < traces[1].forward.sum()
    assert torch.equal(traces[0].forward, 1 + 2 * traces[0].iterations)
    assert torch.equal(traces[0].backward, 4 * traces[0].iterations), "of 5 classes"


def test_a_bound_ends_the_way() -> None:
    full = deepfool(NET, GRAY, ZERO)
    size = sized(full - GRAY, "l2")
    assert torch.equal(deepfool(NET, GRAY, ZERO, epsilon=1.001 * size), full)
    short = deepfool(NET, GRAY, ZERO, epsilon=size / 2)
    torch.testing.assert_close(short, GRAY + (full - GRAY) / 2)
    assert called(NET, short).item() == 0


def test_steps_that_do_not_lead_far_enough_are_returned() -> None:
    net, images = small_net(0), small_images(12, seed=10)
    targets = called(net, images)
    one, all_ = (outcome(net, images, deepfool(net, images, targets, steps=n), targets).success for n in (1, 50))
    assert int(one.sum()) < int(all_.sum()) == 12


def test_a_network_without_a_slope_is_told() -> None:
    flat = Linear(torch.zeros(2, 3, 6, 6), torch.tensor([1.0, 0.0]))
    trace = Trace()
    with pytest.warns(UserWarning, match="gradient of 1 of 1 images is zero at the start, so that they did not move"):
        made = deepfool(flat, GRAY.float(), ZERO, trace=trace)
    assert torch.equal(made, GRAY.float())
    assert trace.vanished.tolist() == [True]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"norm": "l1"}, "norm must be one of l2, linf, got 'l1'"),
        ({"candidates": 1}, "candidates must be at least 2, got 1"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"overshoot": -0.1}, "overshoot must be at least 0 and finite, got -0.1"),
        ({"norm": "linf", "epsilon": 8}, "epsilon must be in image units"),
    ],
    ids=str,
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deepfool(NET, GRAY, ZERO, **told)  # type: ignore[arg-type]
