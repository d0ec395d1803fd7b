"""Every alarm rings where it should, and is quiet where nothing is wrong."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import attack
from pellucid.attack import Alarm, alarms
from pellucid.models import Model

from .nets import Linear, called, small_images, small_net

NAMES = ["epsilon 0", "larger epsilon", "unbounded", "black box", "gradients", "wrapper"]


def asked(model: Any, images: Tensor, targets: Tensor, **told: Any) -> dict[str, Alarm]:
    found = alarms(model, images, targets, **({"epsilon": 0.1, "max_queries": 60} | told))
    assert [alarm.name for alarm in found] == NAMES
    return {alarm.name: alarm for alarm in found}


def ringing(found: dict[str, Alarm]) -> list[str]:
    return [name for name, alarm in found.items() if alarm.rings]


def gray(*means: float, side: int = 6) -> Tensor:
    return torch.tensor(means)[:, None, None, None].expand(-1, 1, side, side).clone()


class Brightness(nn.Module):
    """Class 1 as far as the mean of what `seen` makes of an image is above a bound."""

    def __init__(self, bound: float = 0.5) -> None:
        super().__init__()
        self.bound = bound
        self.eval()

    def seen(self, images: Tensor) -> Tensor:
        return images

    def forward(self, images: Tensor) -> Tensor:
        mean = self.seen(images).mean(dim=(1, 2, 3)) - self.bound
        return torch.stack([-10 * mean, 10 * mean], dim=1)


def test_nothing_rings_for_a_net_like_any_other() -> None:
    network, images = small_net(), small_images(8)
    model = Model(network, mean=(0.0,) * 3, std=(1.0,) * 3, classes=list("abcde"), size=12)
    found = asked(model, images, called(model, images), steps=20, epsilon=0.2)
    assert ringing(found) == [], found
    assert found["epsilon 0"].told == "At epsilon 0 all 8 images are as they were, and are called the same."
    assert found["unbounded"].told == "All 8 images are broken once any change is allowed."
    assert found["wrapper"].told == "The wrapper calls all 8 images as its network does, 8 of them right."
    assert found["black box"].told.startswith("Of 8 images square, with 60 queries each, breaks ")
    assert "at 12.75/255, " in found["larger epsilon"].told
    assert not any("Not tested" in alarm.told for alarm in found.values())


def test_epsilon_0_rings_for_a_net_that_answers_at_random() -> None:
    source = torch.Generator().manual_seed(0)

    class Random(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            coins = torch.randint(2, (len(images), 1), generator=source)
            return super().forward(images) * (2 * coins - 1)

    found = asked(Random(), gray(*[0.6] * 12), torch.ones(12, dtype=torch.int64))["epsilon 0"]
    assert found.rings
    assert "images are called otherwise when asked again, unchanged: the model answers at random" in found.told


def test_epsilon_0_rings_for_an_attack_that_changes_images_all_the_same() -> None:
    def cheat(model: Any, images: Tensor, targets: Tensor, *, epsilon: float, trace: Any) -> Tensor:
        trace.begin(len(images))
        return (images + 0.3).clamp(0, 1)

    found = asked(Brightness(), gray(0.6, 0.7), torch.tensor([1, 1]), method=cheat)["epsilon 0"]
    assert found.rings
    assert found.told.startswith("At epsilon 0 the attack changed 2 of 2 images")


def test_a_larger_epsilon_rings_where_a_step_goes_too_far() -> None:
    class Band(Brightness):
        def forward(self, images: Tensor) -> Tensor:
            inside = 0.05 - (images.mean(dim=(1, 2, 3)) - 0.6).abs()  # class 1 for means of 0.55 to 0.65 alone
            return torch.stack([torch.zeros_like(inside), inside], dim=1)

    found = asked(Band(), gray(0.5, 0.5), torch.tensor([0, 0]), method="fgsm", epsilon=0.4)["larger epsilon"]
    assert found.rings
    assert "breaks fewer (2 at 25.5/255, 0 at 51/255, 0 at 102/255)" in found.told


class Rounded(Brightness):
    """Its gradient is zero everywhere."""

    def seen(self, images: Tensor) -> Tensor:
        return images.round()


def test_unbounded_and_gradients_ring_where_rounding_cuts_the_gradient() -> None:
    found = asked(Rounded(0.95), gray(0.3, 0.2), torch.tensor([0, 0]))
    assert found["unbounded"].told.startswith("2 of 2 images stand though any change was allowed")
    assert found["gradients"].told.startswith(
        "The gradient of 2 of 2 images is zero at the start, and 2 of these stand"
    )
    assert ringing(found) == ["unbounded", "gradients"]


def test_the_black_box_rings_where_gradients_point_the_wrong_way() -> None:
    class Away(torch.autograd.Function):
        @staticmethod
        def forward(_context: Any, images: Tensor) -> Tensor:
            return images.clone()

        @staticmethod
        def backward(_context: Any, *gradients: Tensor) -> Tensor:
            return -gradients[0]

    class Misleading(Brightness):
        def seen(self, images: Tensor) -> Tensor:
            found: Tensor = Away.apply(images)
            return found

    found = asked(Misleading(), gray(0.55, 0.54), torch.tensor([1, 1]))["black box"]
    assert found.rings
    assert found.told.startswith("Of 2 images square, with 60 queries each, breaks 2, the attack 0: the gradients mis")


def test_gradients_ring_where_a_single_step_does_better() -> None:
    timid = partial(attack.pgd, alpha=1e-6, random_start=False, steps=2)
    found = asked(Brightness(), gray(0.55, 0.56), torch.tensor([1, 1]), method=timid)["gradients"]
    assert found.rings
    assert "Of 2 images fgsm breaks 2, the attack 0" in found.told


def test_the_wrapper_rings_where_it_says_another_thing_than_its_network() -> None:
    class Miswired(Model):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.flip(1))  # BGR for RGB

    weight = torch.zeros(2, 3, 4, 4)
    weight[1, 0], weight[1, 2] = 1.0, -1.0  # class 1: more red than blue
    told: dict[str, Any] = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5), "classes": ["blue", "red"], "size": 4}
    images = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    images[:3, 0] += 0.5
    images[3:, 2] += 0.9
    targets, images = torch.tensor([1, 1, 1, 0, 0, 0]), images.clamp(0, 1)
    found = asked(Miswired(Linear(weight), **told), images, targets)["wrapper"]
    assert found.rings
    assert "images otherwise than its network does by itself" in found.told
    weight, told["std"] = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)), (0.1, 0.5, 2.0)
    images = torch.rand(24, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    model = Model(Linear(weight), **told)
    assert not asked(model, images, called(model, images))["wrapper"].rings


def test_the_wrapper_rings_where_the_network_normalises_by_itself() -> None:
    model = Model(Brightness(), mean=(0.5,), std=(0.25,), classes=["dark", "bright"], size=6)  # and Brightness does
    images = gray(*torch.linspace(0.52, 0.6, 12).tolist())
    found = asked(model, images, torch.ones(12, dtype=torch.int64))["wrapper"]
    assert found.rings
    assert "Without the wrapper's normalisation 12 of 12 images are called right, with it 0" in found.told


def test_the_wrapper_may_be_any_function_beside_its_network() -> None:
    images, targets = gray(0.6, 0.7), torch.tensor([1, 1])
    dark = asked(Brightness(), images, targets, network=lambda some: -Brightness()(some))["wrapper"]
    assert dark.rings
    assert "(2 right against 0)" in dark.told
    assert not asked(Brightness(), images, targets, network=Brightness())["wrapper"].rings
    assert asked(Brightness(), images, targets)["wrapper"].told.startswith("Not tested: the model is no wrapper")


def test_what_cannot_be_tested_says_why() -> None:
    images, targets = gray(0.6, 0.7), torch.tensor([1, 1])
    wrong = asked(Brightness(), images, 1 - targets)
    assert all(wrong[name].told.startswith("Not tested: no image needs an attack") for name in NAMES[1:5])
    black = asked(Brightness(), images, targets, method=partial(attack.square, max_queries=60))
    assert black["black box"].told == "Not tested: the attack takes no gradients itself, as square takes none."
    assert black["gradients"].told == "Not tested: the attack takes no gradients."
    assert [name for name in NAMES if not black[name].is_tested] == ["black box", "gradients", "wrapper"]
    own = asked(Brightness(), images, targets, method=partial(attack.one_pixel, population=4, generations=1))
    assert "Not tested: the attack's changes are of a kind of their own" in own["unbounded"].told, "1 pixel is not any"
    other = asked(Brightness(), images, targets, norm="l1", epsilon=2.0)
    assert other["black box"].told.startswith("Not tested: square cannot be asked (norm must be")
    still = asked(Brightness(), images, targets, epsilon=0.0)
    assert still["larger epsilon"].told.startswith("Not tested: the attack was given no size")
    assert [ringing(found) for found in (wrong, black, still)] == [[]] * 3
    assert ringing(other) == ["unbounded"], "l1 steps take the same few pixels again and again, which soon are black"


def test_a_targeted_attack_is_tested_too() -> None:
    images = gray(0.55, 0.6, 0.2)
    found = asked(Brightness(), images, torch.zeros(3, dtype=torch.int64), targeted=True, epsilon=0.2)
    assert ringing(found) == []
    assert found["unbounded"].told.startswith("All 2 images"), "the third is called the target already"


def test_an_epsilon_is_measured_in_the_attacks_own_norm() -> None:
    images, targets = gray(0.6, 0.7), torch.tensor([1, 1])
    found = asked(Brightness(), images, targets, method=partial(attack.boundary, max_queries=40), epsilon=4.0)
    assert found["larger epsilon"].told.endswith(" at 4.")
    assert "/255" not in found["larger epsilon"].told


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at most 1, got 8"):
        alarms(Brightness(), gray(0.6), torch.tensor([1]), epsilon=8)
    with pytest.raises(ValueError, match="method must be one of"):
        alarms(Brightness(), gray(0.6), torch.tensor([1]), method="nothing")
    with pytest.raises(ValueError, match="method must be one of"):
        alarms(Brightness(), gray(0.6), torch.tensor([1]), black_box="nothing")
