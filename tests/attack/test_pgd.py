"""PGD against closed forms, the library the field uses, and itself."""

import math

import pytest
import torch

from pellucid import attack
from pellucid.attack import Trace, outcome, pgd
from pellucid.attack._balls import anywhere, direction, projected, sizes, within

from .nets import Linear, called, small_images, small_net

WEIGHT = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
GRAY = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
FAR = torch.tensor([10.0, 0.0], dtype=torch.float64)
"""A bias that keeps class 0 in front whatever is done."""


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_optimum_on_a_linear_model_is_reached(norm: str) -> None:
    """f = z0 - z1 falls by epsilon times the dual norm of its weights, as long as no pixel meets 0 or 1."""
    model, slope = Linear(WEIGHT, FAR), (WEIGHT[0] - WEIGHT[1])[None]
    epsilon = {"linf": 0.05, "l2": 0.3, "l1": 0.4}[norm]
    dual = {"linf": sizes(slope, "l1"), "l2": sizes(slope, "l2"), "l1": sizes(slope, "linf")}[norm]
    targets = torch.zeros(1, dtype=torch.int64)
    made = pgd(model, GRAY, targets, epsilon=epsilon, norm=norm, steps=400, alpha=epsilon / 20, loss="margin")
    before, after = ((model(x)[0, 0] - model(x)[0, 1]).item() for x in (GRAY, made))
    if norm == "l1":  # its step is shared by the largest 5 % of the slopes, where the optimum takes one alone
        dual = (slope.flatten().abs().topk(5).values).mean()
    assert before - after == pytest.approx(epsilon * dual.item(), rel=2e-2 if norm == "l1" else 1e-6)
    assert sizes(made - GRAY, norm).item() <= epsilon + 1e-9


def test_it_equals_torchattacks_from_the_same_start() -> None:
    torchattacks = pytest.importorskip("torchattacks")
    net, images = small_net(1), small_images(6)
    targets = called(net, images)
    theirs = torchattacks.PGD(net, eps=0.03, alpha=0.01, steps=7, random_start=False)(images, targets)
    ours = pgd(net, images, targets, epsilon=0.03, alpha=0.01, steps=7, random_start=False, keep_best=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert not torch.equal(ours, images)
    theirs = torchattacks.PGDL2(net, eps=0.5, alpha=0.1, steps=7, random_start=False)(images, targets)
    ours = pgd(net, images, targets, epsilon=0.5, alpha=0.1, steps=7, norm="l2", random_start=False, keep_best=False)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("targeted", [False, True])
def test_compacting_changes_nothing_but_the_passes(norm: str, targeted: bool) -> None:
    net, images = small_net(2).double(), small_images(12).double()
    targets = (called(net, images) + targeted) % 5
    epsilon = {"linf": 0.08, "l2": 0.8, "l1": 6.0}[norm]
    traces = Trace(), Trace()
    made = [
        pgd(net, images, targets, epsilon=epsilon, norm=norm, targeted=targeted, restarts=2, compact=on, trace=trace)
        for on, trace in zip((True, False), traces, strict=True)
    ]
    torch.testing.assert_close(*made, rtol=0, atol=1e-9)
    assert traces[0].forward.sum() < traces[1].forward.sum()
    assert torch.equal(traces[0].iterations, traces[1].iterations)
    assert bool(outcome(net, images, made[0], targets, targeted=targeted).success.any())


def test_it_costs_a_pass_a_step_and_two_looks() -> None:
    model, trace = Linear(WEIGHT, FAR), Trace()
    pgd(model, GRAY, torch.zeros(1, dtype=torch.int64), epsilon=0.01, steps=6, restarts=3, trace=trace)
    assert trace.backward.tolist() == [18]
    assert trace.forward.tolist() == [1 + 3 * 7], "the clean image, and of each start its steps and its end"
    assert len(trace.history) == 18


def test_the_loss_never_ends_lower_than_it_began() -> None:
    net, images = small_net(3), small_images(8)
    targets = called(net, images)
    made = pgd(net, images, targets, epsilon=0.02, steps=5)
    before, after = (torch.nn.functional.cross_entropy(net(x), targets, reduction="none") for x in (images, made))
    assert bool((after >= before - 1e-6).all())


def test_more_restarts_never_lose_a_success() -> None:
    net, images = small_net(4), small_images(24)
    targets = called(net, images)
    one, four = (
        outcome(net, images, pgd(net, images, targets, epsilon=0.02, steps=3, restarts=n), targets).success
        for n in (1, 4)
    )
    assert bool((four | ~one).all())


def test_an_unbounded_attack_breaks_everything() -> None:
    net, images = small_net(5), small_images(8)
    targets = called(net, images)
    assert outcome(net, images, pgd(net, images, targets, epsilon=1.0, steps=40), targets).success.all()


def test_a_margin_is_a_lead_in_logits() -> None:
    net, images = small_net(6), small_images(8)
    targets = called(net, images)
    made = pgd(net, images, targets, epsilon=0.5, steps=60, margin=0.5, loss="margin")
    logits = net(made).detach()
    ahead = logits.scatter(1, targets[:, None], -math.inf).amax(1) - logits.gather(1, targets[:, None])[:, 0]
    hit = outcome(net, images, made, targets).success
    assert hit.any()
    assert float(ahead[hit].min()) >= 0.5 - 1e-4


def test_the_losses_are_what_they_say() -> None:
    from pellucid.attack._losses import loss_of

    logits = torch.tensor([[3.0, 1.0, 0.5, -2.0], [0.0, 2.0, 4.0, 1.0]])
    targets = torch.tensor([0, 1])
    close = torch.testing.assert_close
    close(loss_of("margin", targeted=False)(logits, targets), torch.tensor([-2.0, 2.0]))
    close(loss_of("margin", targeted=True)(logits, targets), torch.tensor([2.0, -2.0]))
    close(loss_of("dlr", targeted=False)(logits, targets), torch.tensor([-2 / 2.5, 2 / 3.0]))
    close(loss_of("dlr", targeted=True)(logits, targets), torch.tensor([2 / 3.75, -2 / 3.5]))
    close(loss_of("ce", targeted=True)(logits, targets), logits.log_softmax(1).gather(1, targets[:, None])[:, 0])


def test_a_saturated_loss_is_told() -> None:
    model = Linear(WEIGHT.float() * 1e4, torch.tensor([1e5, 0.0]))
    with pytest.warns(UserWarning, match="gradient of 1 of 1 images is zero at the start"):
        pgd(model, GRAY.float(), torch.zeros(1, dtype=torch.int64), epsilon=0.01)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_projection_gives_the_nearest_point(norm: str) -> None:
    """No point of the ball, of many drawn from it, is nearer."""
    source = torch.Generator().manual_seed(0)
    change = torch.randn(1, 3, 2, 2, generator=source)
    nearest = projected(change, 0.5, norm)
    assert sizes(nearest, norm).item() == pytest.approx(0.5, rel=1e-5)
    away = (change - nearest).norm()
    for _ in range(300):
        other = anywhere(change.shape, 0.5, norm, source)
        assert sizes(other, norm).item() <= 0.5 + 1e-6
        mixed = nearest + 0.1 * (other - nearest)  # inside, for a ball is convex
        assert float((change - mixed).norm()) >= float(away) - 1e-6
    inside = change / sizes(change, norm) * 0.3
    assert torch.equal(projected(inside, 0.5, norm), inside)
    assert sizes(direction(change, norm), norm).item() == pytest.approx(1)


def test_a_draw_from_a_ball_fills_it() -> None:
    source = torch.Generator().manual_seed(0)
    for norm, mean in (("l2", 12 / 13), ("l1", 12 / 13), ("linf", 12 / 13)):
        drawn = torch.cat([anywhere(torch.Size((1, 3, 2, 2)), 2.0, norm, source) for _ in range(800)])
        assert sizes(drawn, norm).mean().item() == pytest.approx(2 * mean, rel=0.02), "radius of a uniform ball of 12"
        assert abs(drawn.mean().item()) < 0.05


def test_what_lies_outside_the_box_is_clamped_after_the_projection() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    made = within(images, images + torch.tensor([-3.0, 3.0, 3.0]).view(1, 3, 1, 1), 1.0, "l2")
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    assert sizes(made - images, "l2").item() <= 1


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"epsilon": 8}, "epsilon must be in image units, at most 1, got 8: 8/255 was meant"),
        ({"norm": "l3"}, "norm must be one of linf, l2, l1, got 'l3'"),
        ({"alpha": 0.0}, "alpha must be above 0, got 0.0"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"restarts": 0}, "restarts must be at least 1, got 0"),
        ({"loss": "mse"}, "loss must be one of ce, margin, dlr, got 'mse'"),
        ({"restarts": 2, "random_start": False}, "restarts above 1 need random_start"),
        ({"margin": -1.0}, "margin must be at least 0"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        pgd(net, images, called(net, images), **told)  # type: ignore[arg-type]


def test_a_loss_that_needs_more_classes_says_so() -> None:
    with pytest.raises(ValueError, match="loss dlr needs 3 classes, the model has 2: use margin"):
        pgd(Linear(WEIGHT), GRAY, called(Linear(WEIGHT), GRAY), loss="dlr")


def test_fgsm_is_one_step_of_pgd() -> None:
    net, images = small_net(7), small_images(8)
    targets = called(net, images)
    for norm, epsilon in (("linf", 0.05), ("l2", 0.5)):
        one = attack.fgsm(net, images, targets, epsilon=epsilon, norm=norm)
        told = {"epsilon": epsilon, "alpha": epsilon, "steps": 1, "random_start": False, "keep_best": False}
        torch.testing.assert_close(one, pgd(net, images, targets, norm=norm, **told))  # type: ignore[arg-type]
