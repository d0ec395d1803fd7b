"""Strong: no weaker than its parts, and each part where the others fail."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.attack import Broken, Trace, apgd, outcome, square, strong
from pellucid.attack.strong import _toward

from .nets import Linear, called, rough_net, small_images, small_net

CHEAP: dict[str, Any] = {"steps": 15, "max_queries": 40}


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.02), ("l2", 0.2)])
def test_it_is_never_weaker_than_its_parts(norm: str, epsilon: float) -> None:
    more = 0
    for seed in range(2):
        net, images = rough_net(seed), small_images(48, side=8, seed=seed)
        targets = called(net, images)
        told: dict[str, Any] = {"epsilon": epsilon, "norm": norm}
        whole = outcome(net, images, strong(net, images, targets, **told, **CHEAP), targets).success
        first = outcome(net, images, apgd(net, images, targets, steps=15, **told), targets).success
        assert bool((whole | ~first).all()), "the first part is the same"
        for part in (
            apgd(net, images, targets, steps=15, loss="dlr", **told),
            square(net, images, targets, max_queries=40, **told),
        ):
            assert whole.sum() >= outcome(net, images, part, targets).success.sum()
        more += int(whole.sum() - first.sum())
    assert more > 0


def test_it_breaks_what_torchattacks_breaks() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    ours = theirs = 0
    for seed in range(2):
        net, images = rough_net(seed), small_images(48, side=8, seed=seed)
        targets = called(net, images)
        known = torchattacks.APGDT(net, eps=0.02, steps=15, n_classes=6)(images, targets)
        theirs += int(outcome(net, images, known, targets).success.sum())
        ours += int(outcome(net, images, strong(net, images, targets, epsilon=0.02, **CHEAP), targets).success.sum())
    assert ours >= theirs > 48


def test_what_broke_each_image_is_told() -> None:
    net, images = rough_net(1), small_images(48, side=8, seed=1)
    targets = called(net, images)
    targets[:3] = (targets[:3] + 1) % 6
    trace = Trace()
    made = strong(net, images, targets, epsilon=0.02, trace=trace, **CHEAP)
    found, broken = outcome(net, images, made, targets), trace.made
    assert isinstance(broken, Broken)
    assert broken.parts == ("clean", "apgd ce", "apgd dlr", "square")
    assert torch.equal(broken.by >= 0, found.success)
    assert broken.by[:3].tolist() == [0, 0, 0]
    assert torch.equal(broken.by == 0, found.is_done)
    assert sum(broken.counts) == int(found.success.sum())
    assert broken.counts[2] > 0
    assert json.loads(json.dumps(broken.json()))["by"] == broken.by.tolist()


def test_an_image_costs_what_was_tried_on_it() -> None:
    model = Linear(
        torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([99.0, 0, 0, 0, 0])
    )
    trace = Trace()
    image = torch.full((1, 1, 4, 4), 0.5)
    strong(model, image, torch.zeros(1, dtype=torch.int64), epsilon=0.01, steps=7, max_queries=9, trace=trace)
    assert trace.backward.tolist() == [7 * 5], "cross-entropy and four rivals"
    assert trace.forward.tolist() == [1 + 5 * (1 + 7 + 1 + 1) + 9 + 1], "each climb: clean, steps, end, and afresh"
    assert len(trace.history) >= 35
    assert trace.made.by.tolist() == [-1]


class Steep(nn.Module):
    """Logits so far apart that the cross-entropy of the class called has no slope left in float32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = 1e6 * self.net(images)
        return logits


def test_a_ratio_climbs_where_the_cross_entropy_is_flat() -> None:
    net, images = rough_net(0), small_images(24, side=8)
    targets = called(net, images)
    trace = Trace()
    strong(Steep(net), images, targets, epsilon=0.02, max_queries=0, steps=20, trace=trace)
    clean, flat, ratio = trace.made.counts
    assert trace.made.parts == ("clean", "apgd ce", "apgd dlr")
    assert clean == 0
    assert ratio > 2 * flat, "a random start breaks a few by luck"
    assert trace.vanished.any()


class Hidden(nn.Module):
    """Class 1 where the mean of pixels rounded to tenths is above 0.5: no slope anywhere."""

    def forward(self, images: Tensor) -> Tensor:
        mean = ((10 * images).round() / 10).mean(dim=(1, 2, 3))
        return torch.stack([torch.full_like(mean, 0.5), mean, mean - 9, mean - 9], dim=1)


def test_square_breaks_what_hides_its_gradient() -> None:
    images, trace = torch.full((3, 3, 8, 8), 0.44), Trace()
    zeros = torch.zeros(3, dtype=torch.int64)
    strong(Hidden().eval(), images, zeros, epsilon=0.12, steps=3, max_queries=300, trace=trace)
    assert trace.made.counts == (0, 0, 0, 3)
    assert trace.vanished.all()


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_enough(classes: int) -> None:
    net, images = rough_net(2, classes), small_images(24, side=8)
    trace = Trace()
    targets = called(net, images)
    made = strong(net, images, targets, epsilon=0.1, steps=10, max_queries=20, trace=trace)
    assert outcome(net, images, made, targets).success.sum() > 12
    strong(net, images, (targets + 1) % classes, epsilon=0.1, steps=10, max_queries=20, targeted=True)


def test_a_target_is_the_only_rival() -> None:
    net, images = rough_net(0), small_images(32, side=8)
    wanted = (called(net, images) + 1) % 6
    trace = Trace()
    made = strong(net, images, wanted, epsilon=0.04, targeted=True, trace=trace, **CHEAP)
    found = outcome(net, images, made, wanted, targeted=True)
    alone = apgd(net, images, wanted, epsilon=0.04, targeted=True, steps=15)
    assert torch.equal(trace.made.by >= 0, found.success)
    assert found.success.sum() >= outcome(net, images, alone, wanted, targeted=True).success.sum() > 0
    assert int(trace.backward.max()) == 30


def test_fewer_rivals_cost_less_and_square_has_no_l1() -> None:
    model = Linear(
        torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([99.0, 0, 0, 0, 0])
    )
    trace, image = Trace(), torch.full((1, 1, 4, 4), 0.5)
    strong(model, image, torch.zeros(1, dtype=torch.int64), epsilon=0.5, norm="l1", steps=4, rivals=1, trace=trace)
    assert trace.backward.tolist() == [8]
    assert trace.made.parts == ("clean", "apgd ce", "apgd dlr")


def test_the_ratio_toward_a_class_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.5, -2.0, -5.0]])
    close = torch.testing.assert_close
    close(_toward(logits, torch.tensor([[0, 2]])), torch.tensor([(0.5 - 3) / (3 - (0.5 - 2) / 2)]))
    close(_toward(logits[:, :3], torch.tensor([[0, 2]])), torch.tensor([-2.5]))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"epsilon": 8}, "epsilon must be in image units, at most 1, got 8: 8/255 was meant"),
        ({"norm": "l3"}, "norm must be one of linf, l2, l1, got 'l3'"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"rivals": 0}, "rivals must be at least 1, got 0"),
        ({"max_queries": -1}, "max_queries must be at least 0, got -1"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_options_are_refused(told: dict[str, Any], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        strong(net, images, called(net, images), **told)
