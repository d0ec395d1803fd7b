"""Accuracy under attack, on nets where it is known."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import attack
from pellucid.attack import Robustness, robustness
from pellucid.metrics import bootstrap, proportion

from .nets import Linear, called, small_images, small_net

EPSILONS = (0.0, 0.02, 0.04, 0.08)
WEIGHT = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4) / 16])  # class 1 as far as the mean is above 0.5
BIAS = torch.tensor([0.0, -0.5])


def brightness() -> nn.Module:
    return Linear(WEIGHT, BIAS)


def gray(*means: float) -> Tensor:
    return torch.tensor(means)[:, None, None, None].expand(-1, 1, 4, 4).clone()


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_the_smallest_epsilon_is_the_distance_to_the_boundary(method: str) -> None:
    images = gray(0.51, 0.53, 0.57, 0.9, 0.3, 0.45)  # 0.01, 0.03, 0.07, 0.4 above; wrong; 0.05 below
    found = robustness(brightness(), images, torch.tensor([1, 1, 1, 1, 1, 0]), epsilons=EPSILONS, method=method)
    assert found.smallest.tolist() == [0.02, 0.04, 0.08, math.inf, 0.0, 0.08]
    assert [share.value for share in found.accuracy] == pytest.approx([5 / 6, 4 / 6, 3 / 6, 1 / 6])
    expected = [[1.0, 4 / 5], [1.0, 3 / 5], [1.0, 2 / 5], [0.0, 1 / 5]]
    torch.testing.assert_close(found.class_accuracy, torch.tensor(expected, dtype=torch.float64))
    assert found.before.tolist() == [1, 1, 1, 1, 0, 0]
    assert found.after.tolist() == [0, 0, 0, 1, 0, 1]


def test_the_images_are_those_of_the_smallest_epsilon() -> None:
    model, images = small_net(), small_images(6)
    found = robustness(model, images, called(model, images), epsilons=(0.0, 0.02, 0.03))
    change = (found.adversarial - images).flatten(1).abs().amax(dim=1)
    broken = found.smallest.isfinite()
    assert bool(broken.any())
    assert not bool(broken.all())
    assert bool((change[broken] <= found.smallest[broken] + 1e-6).all())
    assert bool((change[~broken] == 0).all())
    assert torch.equal(called(model, found.adversarial), found.after)
    assert torch.equal(found.after != found.before, broken)


def test_the_bands_are_those_of_the_metrics() -> None:
    found = robustness(brightness(), gray(0.51, 0.9, 0.9), torch.tensor([1, 1, 1]), epsilons=(0.0, 0.05))
    assert found.accuracy[1] == bootstrap(torch.tensor([0.0, 1.0, 1.0]))
    assert found.wilson[1] == proportion(2, 3)
    assert found.alone == ()


class Lost:
    """An attack that succeeds at one epsilon alone, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, int]] = []
        self.drawn: list[float] = []

    def __call__(
        self,
        model: Any,
        images: Tensor,
        targets: Tensor,
        *,
        epsilon: float,
        generator: torch.Generator,
        trace: attack.Trace,
    ) -> Tensor:
        self.asked.append((epsilon, len(images)))
        self.drawn.append(float(torch.rand((), generator=generator)))
        trace.begin(len(images)).forward += 3
        darker = 1 - images  # crosses 0.5, so that the class changes
        first = torch.arange(len(images))[:, None, None, None] == 0
        return torch.where(first & torch.tensor(epsilon == 0.1), darker, images)


def test_only_those_that_stand_are_attacked_again_and_from_the_same_draws() -> None:
    lost = Lost()
    found = robustness(brightness(), gray(0.6, 0.7, 0.2), torch.tensor([1, 1, 1]), epsilons=(0, 0.1, 0.2), method=lost)
    assert lost.asked == [(0.1, 2), (0.2, 1)], "neither the wrong image nor what is broken"
    assert lost.drawn[0] == lost.drawn[1]
    assert [share.value for share in found.accuracy] == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert found.forward.tolist() == [3, 6, 0]


def test_alone_may_rise_where_the_curve_does_not() -> None:
    lost = Lost()
    images, targets = gray(0.6, 0.7), torch.tensor([1, 1])
    found = robustness(brightness(), images, targets, epsilons=(0, 0.1, 0.2), method=lost, independent=True)
    assert lost.asked == [(0.1, 2), (0.2, 2)]
    assert [share.value for share in found.alone] == [1.0, 0.5, 1.0]
    assert [share.value for share in found.accuracy] == [1.0, 0.5, 0.5]
    assert found.smallest.tolist() == [0.1, math.inf]


def test_a_targeted_curve_is_the_share_not_called_the_target() -> None:
    images = gray(0.51, 0.9, 0.2)
    found = robustness(brightness(), images, torch.zeros(3, dtype=torch.int64), epsilons=EPSILONS, targeted=True)
    assert found.smallest.tolist() == [0.02, math.inf, 0.0]
    assert [round(3 * share.value) for share in found.accuracy] == [2, 1, 1, 1]


def test_options_are_bound_or_named() -> None:
    model, images = small_net(), small_images(6)
    targets = called(model, images)
    bound = robustness(model, images, targets, epsilons=EPSILONS, method=partial(attack.pgd, steps=3))
    same(bound, robustness(model, images, targets, epsilons=EPSILONS, steps=3))
    assert int(bound.backward.max()) <= 3 * 3
    l2 = robustness(model, images, targets, epsilons=(0.1, 0.5), norm="l2")
    sizes = (l2.adversarial - images).flatten(1).norm(dim=1)
    assert bool((sizes <= l2.smallest.clamp(max=0.5) + 1e-6).all())


def same(one: Robustness, other: Robustness) -> None:
    assert one.accuracy == other.accuracy
    assert torch.equal(one.adversarial, other.adversarial)
    assert torch.equal(one.smallest, other.smallest)


def test_the_callers_generator_decides_and_is_left_where_it_was() -> None:
    model, images = small_net(), small_images(6)
    source = torch.Generator().manual_seed(0)
    same(robustness(model, images, called(model, images), epsilons=EPSILONS, generator=source),
         robustness(model, images, called(model, images), epsilons=EPSILONS))  # fmt: skip
    assert torch.equal(source.get_state(), torch.Generator().manual_seed(0).get_state())


def test_a_gradient_that_vanishes_is_told_without_a_warning() -> None:
    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return brightness()(images.round())  # type: ignore[no-any-return]

    found = robustness(Rounded().eval(), gray(0.9, 0.2), torch.tensor([1, 1]), epsilons=(0.1,))
    assert found.vanished.tolist() == [True, False]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"epsilons": ()}, "epsilons must be at least one, ascending, got none"),
    ({"epsilons": (0.1, 0.05)}, r"epsilons must be at least one, ascending, got 0\.1, 0\.05"),
    ({"epsilons": (0.1, 0.1)}, "ascending"),
    ({"epsilons": (8,)}, r"epsilon must be in image units, at most 1, got 8: 8/255 was meant\?"),
    ({"epsilons": (-0.1,)}, "epsilon must be at least 0"),
    ({"method": "pdg"}, r"method must be one of .*, got 'pdg'; did you mean pgd"),
    ({"norm": "l3"}, "norm must be one of linf, l2, l1, got 'l3'"),
    ({"targeted": True, "method": Lost()}, "the attack cannot be targeted"),
]


@pytest.mark.parametrize(("told", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_refusals(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        robustness(brightness(), gray(0.6), torch.tensor([1]), **told)


def test_a_targeted_attack_must_be_asked_so() -> None:
    reaching = [name for name in attack.__all__ if name == "fooling"]
    for name in reaching:
        with pytest.raises(ValueError, match="must be targeted"):
            robustness(brightness(), gray(0.6), torch.tensor([1]), method=name)
        assert attack.aims(name) == "reach"
    assert attack.aims("pgd") == "both"
    assert attack.aims(Lost()) == "leave"


def test_the_norm_is_the_attacks_own() -> None:
    alone = {"boundary": "l2", "carlini_wagner": "l2", "fooling": "l2"}
    alone |= dict.fromkeys(["one_pixel", "shapes", "latent", "patch"], "linf")
    assert {name: attack.norm_of(name) for name in alone} == alone
    assert {name: attack.norm_of(name, "l1") for name in alone} == alone, "what it has not is not asked of it"
    assert [attack.norm_of("pgd"), attack.norm_of("pgd", "l1"), attack.norm_of("deepfool")] == ["linf", "l1", "l2"]
    curve = robustness(brightness(), gray(0.6), torch.tensor([1]), epsilons=(0, 2, 4), method="boundary")
    assert curve.epsilons == (0, 2, 4), "an l2 length may be above 1"
