"""Fooling images against closed forms."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from pellucid.attack import Trace, fooling, outcome
from pellucid.attack._constrained import Constrained, _One
from pellucid.models import Model

from .nets import Linear, called, small_images, small_net

WEIGHT = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 4
GRAY = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
FAR = Linear(WEIGHT, torch.tensor([50.0, 0.0, 0.0], dtype=torch.float64))
"""Class 0 stays in front whatever is done."""
ONE = torch.ones(1, dtype=torch.int64)


def sizes(change: Tensor) -> Tensor:
    found: Tensor = change.flatten(1).norm(dim=1)
    return found


def next_classes(net: nn.Module, images: Tensor) -> Tensor:
    return (called(net, images) + 1) % 5


def test_every_step_has_one_length_along_the_gradient() -> None:
    made = fooling(FAR, GRAY, ONE, lr=0.05, steps=7)
    torch.testing.assert_close(made - GRAY, (7 * 0.05 * WEIGHT[1] / WEIGHT[1].norm())[None])
    images = torch.cat([GRAY, 0.9 * GRAY, 1.1 * GRAY])
    change = fooling(FAR, images, torch.tensor([1, 2, 1]), lr=0.05, steps=3) - images
    torch.testing.assert_close(sizes(change), torch.full((3,), 0.15, dtype=torch.float64))


def test_a_step_in_the_networks_domain_is_taken_after_normalisation() -> None:
    std = torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64).view(3, 1, 1)
    model = Model(FAR, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.4), classes=("a", "b", "c"), size=6).eval()
    model.std = std  # float32 holds no 0.1
    change = fooling(model, GRAY, ONE, lr=0.3, steps=2) - GRAY
    torch.testing.assert_close(change / std, (0.6 * WEIGHT[1] / WEIGHT[1].norm())[None])
    change = fooling(model, GRAY, ONE, lr=0.03, steps=2, domain="pixel") - GRAY
    torch.testing.assert_close(change, (0.06 * (WEIGHT[1] / std) / (WEIGHT[1] / std).norm())[None])
    assert sizes(fooling(model, GRAY, ONE, steps=1, domain="pixel") - GRAY).item() == pytest.approx(0.225)


@pytest.mark.parametrize(
    ("objective", "slope"), [("margin", WEIGHT[1] - WEIGHT[0]), ("logprob", WEIGHT[1] - WEIGHT[0])]
)
def test_the_other_objectives_push_the_rival_down(objective: str, slope: Tensor) -> None:
    trace = Trace()
    made = fooling(FAR, GRAY, ONE, lr=0.05, steps=1, objective=objective, trace=trace)
    torch.testing.assert_close(made - GRAY, (0.05 * slope / slope.norm())[None])
    logits = FAR(GRAY).detach()[0]
    expected = {"margin": logits[1] - logits[0], "logprob": logits.log_softmax(0)[1]}[objective]
    assert trace.history[0].item() == pytest.approx(expected.item(), rel=1e-6)


def test_an_image_stops_at_its_first_hit() -> None:
    net, images = small_net(2).double(), small_images(6, seed=12).double()
    targets = next_classes(net, images)
    trace = Trace()
    made = fooling(net, images, targets, lr=0.05, trace=trace)
    assert outcome(net, images, made, targets, targeted=True).success.all()
    assert len(set(trace.iterations.tolist())) > 2
    for row, count in enumerate(trace.iterations.tolist()):
        one = slice(row, row + 1)
        before = fooling(net, images[one], targets[one], lr=0.05, steps=count - 1)
        at = fooling(net, images[one], targets[one], lr=0.05, steps=count)
        assert called(net, before).item() != targets[row].item() == called(net, at).item()
        torch.testing.assert_close(at[0], made[row], rtol=0, atol=1e-12)
    assert torch.equal(trace.forward, trace.iterations + 1), "the last pass finds it done"
    assert torch.equal(trace.forward, trace.backward)


def test_compacting_changes_nothing_but_the_passes() -> None:
    net, images = small_net(2).double(), small_images(6, seed=12).double()
    targets = next_classes(net, images)
    traces = Trace(), Trace()
    made = [
        fooling(net, images, targets, lr=0.05, compact=on, trace=trace)
        for on, trace in zip((True, False), traces, strict=True)
    ]
    torch.testing.assert_close(*made, rtol=0, atol=1e-12)
    assert torch.equal(traces[0].iterations, traces[1].iterations)
    assert traces[0].forward.sum() < traces[1].forward.sum()


def test_no_steps_change_nothing_and_ask_nothing() -> None:
    for optimiser in ("ascent", "lbfgs"):
        trace = Trace()
        assert torch.equal(fooling(FAR, GRAY, ONE, steps=0, optimiser=optimiser, trace=trace), GRAY)
        assert trace.forward.tolist() == [0]


def test_the_score_never_falls_by_small_steps_on_a_smooth_net() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.Tanh(), nn.Linear(16, 4)).eval()
    trace = Trace()
    images = small_images(3, side=6)
    fooling(net, images, torch.tensor([0, 1, 2]), lr=0.01, steps=40, stop_prob=1.0, trace=trace)
    history = torch.stack(trace.history)
    assert len(history) == 40
    assert bool((history.diff(dim=0) > 0).all())


def test_noise_and_grey_are_called_what_was_asked() -> None:
    net = small_net(1)
    images = torch.cat([small_images(2, seed=5), torch.full((2, 3, 12, 12), 0.5)])
    targets = torch.tensor([0, 2, 0, 2])
    made = fooling(net, images, targets, lr=0.1, objective="margin", stop_prob=0.8)
    found = outcome(net, images, made, targets, targeted=True)
    assert found.success.all()
    assert float(found.target_after.min()) >= 0.8 - 1e-5


@pytest.mark.parametrize("optimiser", ["ascent", "lbfgs"])
def test_a_bound_is_kept(optimiser: str) -> None:
    net, images = small_net(2).double(), small_images(3, seed=12).double()
    targets = next_classes(net, images)
    told = {"optimiser": optimiser, "lr": 0.05, "rounds": 1, "steps": 20, "constant": 0.01}
    full = fooling(net, images, targets, **told)  # type: ignore[arg-type]
    size = sizes(full - images)
    short = fooling(net, images, targets, epsilon=float(size.min()) / 4, **told)  # type: ignore[arg-type]
    assert float(sizes(short - images).max()) <= float(size.min()) / 4 + 1e-9
    assert float(sizes(short - images).min()) >= 0.99 * float(size.min()) / 4, (
        "ascent, at the ball's surface, turns a bit"
    )
    wide = fooling(net, images, targets, epsilon=9.0, **told)  # type: ignore[arg-type]
    torch.testing.assert_close(wide, full, rtol=0, atol=1e-12)


def test_lbfgs_finds_the_distance_on_a_linear_model() -> None:
    slope = WEIGHT[1] - WEIGHT[0]
    net = Linear(WEIGHT[:2], torch.tensor([slope.sum().item() / 2 + 0.8, 0.0], dtype=torch.float64))  # a lead of 0.8
    trace = Trace()
    made = fooling(net, GRAY, ONE, optimiser="lbfgs", steps=20, trace=trace)
    assert called(net, made).item() == 1
    assert sizes(made - GRAY).item() == pytest.approx(0.8 / slope.norm().item(), rel=0.01)
    assert trace.backward.tolist() == trace.iterations.tolist() == [len(trace.history)]
    assert trace.forward.tolist() == [len(trace.history) + 11], "the clean image, and where each round ends"


def test_lbfgs_sees_the_constant_and_the_cross_entropy() -> None:
    """The first place asked is the image: no change yet, so that the objective is the log probability."""
    trace = Trace()
    fooling(FAR, GRAY, ONE, optimiser="lbfgs", steps=1, rounds=1, trace=trace)
    assert trace.history[0].item() == pytest.approx(FAR(GRAY).log_softmax(1)[0, 1].item())
    assert trace.history[1].item() < 0


def test_lbfgs_is_told_the_right_gradient() -> None:
    net, images = small_net(2).double(), small_images(1, side=6, seed=12).double()
    one = _One(net, images, next_classes(net, images), Constrained(1.0, 1, 1, None), Trace().begin(1), 0)
    place = small_images(1, side=6, seed=5).double().flatten().numpy()
    value, gradient = one.ask(place, 0.7)
    for index in range(0, len(place), 9):
        moved = place.copy()
        moved[index] += 1e-6
        assert (one.ask(moved, 0.7)[0] - value) / 1e-6 == pytest.approx(gradient[index], rel=1e-3, abs=1e-5)


def test_lbfgs_changes_less_than_ascent() -> None:
    net, images = small_net(2), small_images(2, seed=12)
    targets = next_classes(net, images)
    coarse = fooling(net, images, targets, lr=0.3)
    fine = fooling(net, images, targets, optimiser="lbfgs", rounds=4, steps=30, constant=0.3)
    assert outcome(net, images, fine, targets, targeted=True).success.all()
    assert bool((sizes(fine - images) < sizes(coarse - images)).all())


def test_lbfgs_returns_what_is_nearest_where_nothing_succeeds() -> None:
    made = fooling(FAR, GRAY, ONE, optimiser="lbfgs", rounds=2, steps=10)
    assert called(FAR, made).item() == 0
    lead = [(FAR(x)[0, 1] - FAR(x)[0, 0]).item() for x in (GRAY, made)]
    assert lead[1] > lead[0]
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_lbfgs_waits_for_the_probability_too() -> None:
    net, images = small_net(2), small_images(1, seed=12)
    targets = next_classes(net, images)
    made = fooling(net, images, targets, optimiser="lbfgs", rounds=1, steps=20, constant=0.01, stop_prob=0.8)
    assert float(net(made).softmax(1).detach()[0, targets[0]]) >= 0.8 - 1e-5


def test_a_score_without_a_slope_is_told() -> None:
    flat = Linear(torch.zeros(2, 3, 6, 6), torch.tensor([1.0, 0.0]))
    with pytest.warns(UserWarning, match="gradient of 1 of 1 images is zero at the start.*objective='margin'"):
        assert torch.equal(fooling(flat, GRAY.float(), ONE), GRAY.float())


BAD = [
    ({"lr": 0.0}, "lr must be above 0 and finite, got 0.0"),
    ({"steps": -1}, "steps must be at least 0, got -1"),
    ({"optimiser": "adam"}, "optimiser must be one of ascent, lbfgs, got 'adam'"),
    ({"objective": "prob"}, "objective must be one of score, margin, logprob, got 'prob'; did you mean logprob"),
    ({"domain": "pixels"}, "domain must be one of network, pixel, got 'pixels'; did you mean pixel"),
    ({"stop_prob": 90}, r"stop_prob must be in \[0, 1\], got 90"),
    ({"constant": 0.0}, "constant must be above 0 and finite, got 0.0"),
    ({"rounds": 0}, "rounds must be at least 1, got 0"),
]


@pytest.mark.parametrize(("told", "message"), BAD, ids=str)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fooling(FAR, GRAY, ONE, **told)  # type: ignore[arg-type]


def test_several_targets_need_the_image_repeated() -> None:
    with pytest.raises(ValueError, match=r"targets must have shape \(1,\), one for each image, got \(2,\)"):
        fooling(FAR, GRAY, torch.tensor([1, 2]))
    made = fooling(FAR, GRAY.expand(2, -1, -1, -1), torch.tensor([1, 2]), steps=2)
    for row, one in itertools.product(range(2), range(2)):
        alone = fooling(FAR, GRAY, torch.tensor([1 + row]), steps=2)
        assert torch.allclose(alone[0], made[one]) == (row == one)


def test_one_output_is_no_classifier() -> None:
    with pytest.raises(ValueError, match="an attack needs at least 2 classes, the model has 1 output"):
        fooling(Linear(WEIGHT[:1]), GRAY, torch.zeros(1, dtype=torch.int64))
