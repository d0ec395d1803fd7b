"""Boundary: the exact distance to a plane, the starts, the budget, and labels alone."""

import sys

import pytest
import torch
from torch import Tensor

from pellucid.attack import Query, Trace, boundary, outcome

from .nets import Linear, called, small_images, small_net
from .test_square import coarse_images, even_net


def half_space(distance: float, side: int = 5) -> tuple[Linear, Tensor]:
    """A plane at a known distance from a gray image, which it calls class 0."""
    normal = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normal /= normal.norm()
    image = torch.full((1, 3, side, side), 0.5, dtype=torch.float64)
    weight = torch.cat([torch.zeros_like(normal), normal])
    bias = torch.tensor([0.0, -float((normal * image).sum()) - distance], dtype=torch.float64)
    return Linear(weight, bias), image


@pytest.mark.parametrize("directions", [1, 3])
def test_it_comes_near_the_distance_to_a_plane(directions: int) -> None:
    model, image = half_space(0.4)
    trace = Trace()
    zeros = torch.zeros(1, dtype=torch.int64)
    made = boundary(model, image, zeros, directions=directions, max_queries=1500 * directions, trace=trace)
    found = outcome(model, image, made, zeros)
    assert found.success.all()
    assert 0.4 <= found.l2.item() <= 0.4 * 1.05
    steps = torch.stack(trace.history)[:, 0].diff()
    assert bool((steps > -1e-9).all()), "every step taken is one inwards"


@pytest.mark.parametrize("targeted", [False, True])
def test_labels_are_enough_and_everything_kept_is_adversarial(targeted: bool) -> None:
    net, images = even_net(), coarse_images(10)
    targets = (called(net, images) + targeted) % 5
    asked: list[int] = []

    def box(some: Tensor) -> Tensor:
        asked.append(len(some))
        return called(net, some)

    trace = Trace()
    made = boundary(box, images, targets, max_queries=150, targeted=targeted, trace=trace)
    found = outcome(net, images, made, targets, targeted=targeted)
    moved = (made != images).flatten(1).any(dim=1)
    assert torch.equal(found.success | found.is_done, moved | found.is_done)
    assert found.success.sum() >= 8
    assert sum(asked) == int(trace.forward.sum())
    assert trace.forward.max() == 150
    torch.testing.assert_close(made, boundary(net, images, targets, max_queries=150, targeted=targeted))


def test_it_is_nearer_than_the_library_after_as_many_queries() -> None:
    foolbox = pytest.importorskip("foolbox")
    net, images = even_net(), coarse_images(10)
    targets = called(net, images)
    box = foolbox.PyTorchModel(net, bounds=(0, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _, theirs, _ = foolbox.attacks.BoundaryAttack(steps=200)(box, images, targets, epsilons=None)
    made = boundary(net, images, targets, max_queries=200)
    ours, other = (outcome(net, images, x, targets) for x in (made, theirs))
    assert ours.success.all()
    assert ours.l2.median() < other.l2.median()


def test_a_start_is_walked_from() -> None:
    net, images = even_net(), coarse_images(8)
    labels = called(net, images)
    start = images[(labels != labels[0]).nonzero()[0, 0]][None]
    made = boundary(net, images[:1], labels[:1], start=start, max_queries=3)
    first = boundary(net, images[:1], labels[:1], start=start, max_queries=2)
    assert torch.equal(first, start), "the clean image and the start were asked"
    assert (made - images[:1]).norm() <= (start - images[:1]).norm()
    goal = called(net, start)
    reached = boundary(net, images[:1], goal, start=start, targeted=True, max_queries=60)
    assert called(net, reached).equal(goal)
    assert (reached - images[:1]).norm() < (start - images[:1]).norm()


def test_a_start_that_is_none_is_refused() -> None:
    net, images = even_net(), coarse_images(8)
    labels = called(net, images)
    with pytest.raises(ValueError, match="start must be called another class, got one for image 0 that is not"):
        boundary(net, images, labels, start=images)
    with pytest.raises(ValueError, match="start must be called the target, got one for image 0 that is not"):
        boundary(net, images, (labels + 1) % 5, start=images, targeted=True)
    with pytest.raises(ValueError, match=r"start must have the images' shape \(8, 3, 20, 20\), or one image for all"):
        boundary(net, images, labels, start=images[:2])
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        boundary(net, images, labels, start=images + 3)


def test_without_a_start_the_image_comes_back() -> None:
    images, targets = small_images(2), torch.zeros(2, dtype=torch.int64)
    trace = Trace()
    made = boundary(
        lambda some: torch.zeros(len(some), dtype=torch.int64), images, targets, noise_tries=15, trace=trace
    )
    assert torch.equal(made, images)
    assert trace.forward.tolist() == [16, 16]


@pytest.mark.parametrize("most", [1, 2, 7, 14, 33])
def test_the_budget_is_never_passed(most: int) -> None:
    net, images = even_net(), coarse_images(6)
    query, trace = Query(net), Trace()
    boundary(query, images, called(net, images), max_queries=most, trace=trace)
    assert query.count == int(trace.forward.sum())
    assert trace.forward.max() <= most


def test_inside_epsilon_it_ends_and_what_is_farther_is_cut() -> None:
    net, images = even_net(), coarse_images(6)
    targets = called(net, images)
    trace = Trace()
    near = boundary(net, images, targets, epsilon=3.0, max_queries=600, trace=trace)
    found = outcome(net, images, near, targets)
    assert found.success.all()
    assert float(found.l2.max()) <= 3 + 1e-5
    assert float(trace.forward.float().mean()) < 500
    far = outcome(net, images, boundary(net, images, targets, epsilon=0.05, max_queries=30), targets)
    assert far.l2.tolist() == pytest.approx([0.05] * 6, rel=1e-4)


def test_a_step_keeps_the_distance_and_then_shortens_it() -> None:
    _, image = half_space(0.4)
    from pellucid.attack._asking import asking

    module = sys.modules["pellucid.attack.boundary"]
    zeros = torch.zeros(1, dtype=torch.int64)
    with asking(lambda some: zeros.expand(len(some)), image, zeros, targeted=False, max_queries=9, trace=None) as ask:
        walk = module._Walk(ask, 1, None, 0.2, 0.05)
        walk.now = image + 0.1 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1)).double()
        drawn = torch.randn(4, *image.shape, generator=torch.Generator().manual_seed(2)).double()
        far = (walk.now - image).norm().item()
        on_sphere, inwards = (walk._moved(zeros, drawn, is_inward=on) - image for on in (False, True))
        assert on_sphere.flatten(1).norm(dim=1).tolist() == pytest.approx([far] * 4)
        assert inwards.flatten(1).norm(dim=1).tolist() == pytest.approx([far * 0.95] * 4)
        turned = (on_sphere[:, 0] * (walk.now - image)).flatten(1).sum(dim=1) / far**2  # the cosine
        assert turned.tolist() == pytest.approx([1 / (1 + 0.2**2) ** 0.5] * 4)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"directions": 0}, "directions must be at least 1, got 0"),
        ({"noise_tries": 0}, "noise_tries must be at least 1, got 0"),
        ({"sphere_step": 0.0}, "sphere_step must be above 0 and below 1, got 0.0"),
        ({"inward_step": 1.0}, "inward_step must be above 0 and below 1, got 1.0"),
        ({"max_queries": 0}, "max_queries must be at least 1, got 0"),
        ({"epsilon": -1.0}, "epsilon must be at least 0 and finite, got -1.0"),
    ],
    ids=lambda told: str(told)[:24],
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        boundary(net, images, called(net, images), **told)  # type: ignore[arg-type]


def test_a_label_that_can_be_none_is_refused() -> None:
    with pytest.raises(ValueError, match="target -1 is no class: they count from 0"):
        boundary(lambda some: torch.zeros(len(some), dtype=torch.int64), small_images(2), torch.tensor([0, -1]))
