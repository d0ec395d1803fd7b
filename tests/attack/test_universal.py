"""Universal perturbations against closed forms, noise of their size, and images they were not made from."""

import pytest
import torch

from pellucid.attack import Trace, UniversalChange, outcome, universal

from .nets import Linear, called, small_images, small_net

WEIGHT = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
SLOPE = WEIGHT[1] - WEIGHT[0]
NET = Linear(WEIGHT, torch.tensor([12.0, 0.0], dtype=torch.float64))
"""Class 0 stays in front whatever is done."""
INSIDE = 0.25 + 0.5 * small_images(6, side=6).double()
ZEROS = torch.zeros(6, dtype=torch.int64)


def made_by(trace: Trace) -> UniversalChange:
    assert isinstance(trace.made, UniversalChange)
    return trace.made


def test_the_change_on_a_linear_model_is_its_sign() -> None:
    """All images ask for the same: each value by epsilon, against the class."""
    trace = Trace()
    adversarial = universal(NET, INSIDE, ZEROS, epsilon=0.03, steps=20, batch_size=4, clip=1e3, trace=trace)
    torch.testing.assert_close(made_by(trace).change, 0.03 * SLOPE.sign()[None])
    torch.testing.assert_close(adversarial, INSIDE + 0.03 * SLOPE.sign())
    assert trace.iterations.sum() == trace.forward.sum() == trace.backward.sum() == 20 * 3, "batches of 4 and of 2"
    assert len(trace.history) == 20


def test_the_change_in_l2_lies_along_the_slope() -> None:
    trace = Trace()
    universal(NET, INSIDE, ZEROS, epsilon=0.3, norm="l2", steps=10, clip=1e3, trace=trace)
    torch.testing.assert_close(made_by(trace).change, (0.3 * SLOPE / SLOPE.norm())[None])


def test_an_image_that_is_lost_is_no_longer_climbed() -> None:
    """One image asks for red, the other, long lost, for blue with ten times the slope."""
    weight = torch.zeros(3, 3, 1, 1, dtype=torch.float64)
    weight[1, 0], weight[2, 2] = 1.0, 10.0

    class Two(Linear):
        """The second image's own class is far behind."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            lost = images[:, 1, 0, 0] > 0.5
            found = super().forward(images)
            steep = torch.tensor([-50.0, 0.0, 0.0], dtype=torch.float64)
            calm = torch.tensor([0.0, 0.0, -20.0], dtype=torch.float64)
            return found + torch.where(lost[:, None], steep, calm)

    images = torch.tensor([[0.4, 0.2, 0.4], [0.4, 0.8, 0.4]], dtype=torch.float64).view(2, 3, 1, 1)
    for clip, blue in ((9.0, 0.0), (1e3, 0.1)):
        trace = Trace()
        told = {"epsilon": 0.1, "norm": "l2", "steps": 5, "alpha": 0.1, "clip": clip}
        universal(Two(weight), images, torch.tensor([0, 0]), trace=trace, **told)  # type: ignore[arg-type]
        red_, _, blue_ = made_by(trace).change.flatten().tolist()
        assert blue_ == pytest.approx(blue, abs=0.01)
        assert red_ == pytest.approx(0.1 - blue, abs=0.02)


def test_a_value_that_is_clamped_does_not_count() -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, -1.0]], dtype=torch.float64).view(2, 2, 1, 1)
    images = torch.tensor([[0.5, 0.5], [0.99, 0.5]], dtype=torch.float64).view(2, 2, 1, 1)
    net = Linear(weight, torch.tensor([5.0, 0.0], dtype=torch.float64))
    trace = Trace()
    universal(net, images[1:], torch.tensor([0]), epsilon=0.2, alpha=0.1, steps=2, trace=trace)
    assert made_by(trace).change.flatten().tolist() == pytest.approx([0.1, -0.15]), "no second step past white"


@pytest.mark.parametrize("optimiser", ["gradient", "deepfool"])
def test_it_breaks_images_it_has_not_seen(optimiser: str) -> None:
    net, seen, unseen = small_net(1), small_images(24, seed=1), small_images(48, seed=2)
    trace = Trace()
    told = {"epsilon": 0.15, "optimiser": optimiser, "steps": 60 if optimiser == "gradient" else 2}
    universal(net, seen, called(net, seen), trace=trace, **told)  # type: ignore[arg-type]
    made = made_by(trace)
    assert float(made.change.abs().max()) <= 0.15 + 1e-6
    targets = called(net, unseen)
    rate = outcome(net, unseen, made.apply(unseen), targets).rate.value
    noise = UniversalChange(0.15 * (small_images(1, seed=3) - 0.5).sign(), 0.15, "linf")
    assert rate > 0.5
    assert outcome(net, unseen, noise.apply(unseen), targets).rate.value < 0.2


def test_deepfool_adds_what_an_image_lacks_and_stops_when_enough_are_broken() -> None:
    """Five images at one distance from one boundary: what breaks the first breaks all."""
    lean = Linear(WEIGHT, torch.tensor([0.0, 0.0], dtype=torch.float64))
    gray = torch.full((5, 3, 6, 6), 0.5, dtype=torch.float64)
    lean.bias.data[0] = SLOPE.sum() / 2 + 2.0  # a lead of 2
    trace = Trace()
    made = universal(lean, gray, ZEROS[:5], epsilon=1.0, norm="l2", optimiser="deepfool", trace=trace)
    assert made_by(trace).change.norm().item() == pytest.approx(1.02 * 2.0001 / SLOPE.norm().item(), rel=1e-6)
    assert called(lean, made).tolist() == [1] * 5
    assert sorted(trace.forward.tolist()) == [2, 2, 2, 2, 4], "one look at each, one at the end, and two of one step"
    assert trace.backward.sum() == 1
    assert trace.iterations.sum() == 1


def test_deepfool_goes_on_until_the_passes_are_spent() -> None:
    trace = Trace()
    universal(NET, INSIDE, ZEROS, epsilon=0.001, optimiser="deepfool", steps=3, trace=trace)
    assert trace.iterations.min() >= 3
    assert float(made_by(trace).change.abs().max()) == pytest.approx(0.001)


def test_it_may_reach_one_class() -> None:
    net, images = small_net(1), small_images(16, seed=1)
    wanted = torch.full((16,), int((called(net, images)[0] + 1) % 5))
    made = universal(net, images, wanted, epsilon=0.2, targeted=True, steps=60)
    assert outcome(net, images, made, wanted, targeted=True).rate.value > 0.8


def test_a_seed_sets_the_order() -> None:
    net, images = small_net(1), small_images(16, seed=1)
    targets = called(net, images)
    runs = [
        universal(net, images, targets, steps=3, batch_size=2, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


BAD = [
    ({"optimiser": "adam"}, "optimiser must be one of gradient, deepfool, got 'adam'"),
    ({"norm": "l1"}, "norm must be one of linf, l2, got 'l1'"),
    ({"epsilon": 10}, "epsilon must be in image units, at most 1, got 10: 10/255 was meant"),
    ({"steps": 0}, "steps must be at least 1, got 0"),
    ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ({"alpha": 0.0}, "alpha must be above 0 and finite, got 0.0"),
    ({"clip": -1.0}, "clip must be above 0 and finite, got -1.0"),
    ({"enough": 0.0}, r"enough must be in \(0, 1\], got 0.0"),
    ({"targeted": True, "optimiser": "deepfool"}, "targeted must be off for optimiser deepfool"),
]


@pytest.mark.parametrize(("told", "message"), BAD, ids=str)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        universal(NET, INSIDE, ZEROS, **told)  # type: ignore[arg-type]


def test_images_of_another_shape_are_refused() -> None:
    made = UniversalChange(torch.zeros(1, 3, 6, 6), 0.1, "linf")
    with pytest.raises(ValueError, match=r"images must be \(N, 3, 6, 6\) as the change is, got \(2, 3, 8, 8\)"):
        made.apply(torch.zeros(2, 3, 8, 8))
    assert made.apply(INSIDE).dtype == torch.float64
