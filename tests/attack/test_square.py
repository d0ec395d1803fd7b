"""Square attack: what is known of its squares, and success beside the library the field uses."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.attack import Query, Trace, outcome, square
from pellucid.attack.square import _bump, _hill, _moved, _side, _tiles

from .nets import Linear, called, small_images, small_net

WEIGHT = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
GRAY = torch.full((1, 3, 6, 6), 0.5, dtype=torch.float64)
FAR = torch.tensor([10.0, 0.0], dtype=torch.float64)
"""A bias that keeps class 0 in front whatever is done."""


def lost(model: Linear, made: Tensor) -> float:
    """By how much the lead of class 0 fell."""
    before, after = (float((model(x)[0, 0] - model(x)[0, 1]).detach()) for x in (GRAY, made))
    return before - after


def coarse_images(count: int) -> Tensor:
    """Images of 4 x 4 patches of colour, which a net tells apart better than noise."""
    return F.interpolate(small_images(count, side=4), size=20)


def even_net() -> nn.Module:
    """A net that calls such images by all classes."""
    net = small_net(1)
    with torch.no_grad():
        net[-1].bias -= net(coarse_images(40)).mean(dim=0)  # type: ignore[index]
    return net


def test_the_optimum_of_linf_on_a_linear_model_is_reached() -> None:
    """f = z0 - z1 falls by epsilon times the sum of the weights' magnitudes: squares of one pixel get all of it."""
    model = Linear(WEIGHT, FAR)
    made = square(model, GRAY, torch.zeros(1, dtype=torch.int64), epsilon=0.05, max_queries=2000, p_init=0.05)
    assert lost(model, made) == pytest.approx(0.05 * (WEIGHT[0] - WEIGHT[1]).abs().sum().item(), rel=1e-9)


def test_l2_comes_near_its_optimum_on_a_smooth_linear_model() -> None:
    weight = torch.zeros_like(WEIGHT)
    weight[0, :, :3], weight[0, :, 3:] = 1.0, -1.0  # smooth, as bumps are; the optimum is epsilon times its length
    model = Linear(weight, FAR * 10)
    made = square(model, GRAY, torch.zeros(1, dtype=torch.int64), epsilon=0.3, norm="l2", max_queries=600)
    assert 0.5 < lost(model, made) / (0.3 * weight[0].norm().item()) <= 1 + 1e-9
    assert (made - GRAY).norm().item() == pytest.approx(0.3)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 1.0)])
def test_it_succeeds_as_often_as_the_library(norm: str, epsilon: float, targeted: bool) -> None:
    torchattacks = pytest.importorskip("torchattacks")
    net, images = even_net(), coarse_images(40)
    targets = (called(net, images) + targeted) % 5
    theirs = torchattacks.Square(
        net, norm={"linf": "Linf", "l2": "L2"}[norm], eps=epsilon, n_queries=60, loss="ce" if targeted else "margin"
    )
    if targeted:
        theirs.set_mode_targeted_by_function(lambda _images, labels: labels)
    with torch.random.fork_rng():
        peer = theirs(images, targets)
    made = square(net, images, targets, epsilon=epsilon, norm=norm, max_queries=61, targeted=targeted)
    ours, other = (outcome(net, images, x, targets, targeted=targeted) for x in (made, peer))
    assert 0 < ours.rate.value < 1, "a setting that tells"
    assert ours.rate.value >= other.rate.value - 0.13, "one standard deviation of the difference being 0.1"


def test_the_budget_is_each_images_own_and_exact() -> None:
    net, images = small_net(1), small_images(6)
    query, trace = Query(net), Trace()
    made = square(query, images, called(net, images), epsilon=0.01, max_queries=37, trace=trace)
    found = outcome(net, images, made, called(net, images))
    assert query.count == int(trace.forward.sum())
    assert trace.forward.max() == 37
    assert bool(((trace.forward == 37) | found.success).all())
    assert torch.equal(trace.iterations, trace.forward - 1), "the clean image is asked too"
    query = Query(net, most=20)
    square(query, images, called(net, images), epsilon=0.001)
    assert query.count == 18, "3 for each"


def test_one_query_is_a_look() -> None:
    net, images = small_net(1), small_images(6)
    assert torch.equal(square(net, images, called(net, images), epsilon=0.5, max_queries=1), images)


def test_what_it_climbs_never_falls() -> None:
    net, images, trace = small_net(1), small_images(6), Trace()
    square(net, images, called(net, images), epsilon=0.01, max_queries=60, trace=trace)
    steps = torch.stack(trace.history).diff(dim=0)  # from the start on
    assert bool((steps.nan_to_num(1) >= 0).all())


def test_another_seed_is_another_search() -> None:
    net, images = small_net(1), small_images(6)
    made = [
        square(net, images, called(net, images), max_queries=9, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 1)
    ]
    assert not torch.equal(*made)


def test_squares_shrink_as_the_paper_says() -> None:
    shape = torch.Size((1, 3, 32, 32))
    sides = [
        _side(0.8, step / 10_000, shape, "linf") for step in (0, 10, 11, 51, 201, 501, 1001, 2001, 4001, 6001, 8001)
    ]
    assert sides == [round(math.sqrt(0.8 * 1024 / 2**k)) for k in (0, *range(10))]
    assert [_side(p, 0, shape, "l2") for p in (0.001, 0.02, 1.0)] == [3, 5, 31]
    assert [_side(1.0, 0, torch.Size((1, 1, 2, 9)), norm) for norm in NORMS] == [2, 1]


NORMS = ("linf", "l2")


def test_a_bump_is_the_papers() -> None:
    """Equation 2 by a plain loop."""
    for height, width in ((3, 3), (2, 5), (3, 5), (3, 7)):
        n = max(height, width) // 2
        for r in range(1, height + 1):
            for s in range(1, width + 1):
                rings = n - max(abs(r - height // 2 - 1), abs(s - width // 2 - 1))
                expected = sum(1 / (n + 1 - k) ** 2 for k in range(rings + 1))
                assert _hill(height, width)[r - 1, s - 1].item() == pytest.approx(expected)
    for side in (1, 2, 3, 7):
        assert _bump(side, False).norm().item() == pytest.approx(1)
        assert torch.equal(_bump(side, True), _bump(side, False).T)
    assert bool((_bump(7, False)[:3] > 0).all())
    assert bool((_bump(7, False)[3:] < 0).all())


@pytest.mark.parametrize("seed", range(5))
def test_a_move_spends_the_whole_of_epsilon(seed: int) -> None:
    source = torch.Generator().manual_seed(seed)
    clean = torch.full((2, 3, 12, 12), 0.5, dtype=torch.float64)
    now = _tiles(clean, 0.4, source)
    assert (now - clean).flatten(1).norm(dim=1).tolist() == pytest.approx([0.4, 0.4])
    moved = _moved(clean, now, 5, 0.4, source)
    assert (moved - clean).flatten(1).norm(dim=1).tolist() == pytest.approx([0.4, 0.4])
    shrunk = clean + (now - clean) * 0.5  # as where pixels met 0 or 1: what is left over is spent
    assert (_moved(clean, shrunk, 5, 0.4, source) - clean).flatten(1).norm(dim=1).tolist() == pytest.approx([0.4, 0.4])
    assert 0 < int((moved != now).any(dim=1)[0].sum()) <= 50, "two squares of 25 pixels"


def test_small_and_narrow_images_have_room() -> None:
    for shape in ((2, 1, 1, 1), (2, 1, 2, 3), (2, 3, 4, 17)):
        model = Linear(torch.ones(2, *shape[1:]) * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1), torch.tensor([99.0, 0]))
        images = torch.full(shape, 0.5)
        for norm in NORMS:
            made = square(model, images, torch.zeros(2, dtype=torch.int64), epsilon=0.2, norm=norm, max_queries=60)
            assert not torch.equal(made, images)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"epsilon": 8}, "epsilon must be in image units, at most 1, got 8: 8/255 was meant"),
        ({"norm": "l1"}, "norm must be one of linf, l2, got 'l1'"),
        ({"p_init": 0.0}, "p_init must be above 0 and at most 1, got 0.0"),
        ({"p_init": 1.5}, "p_init must be above 0 and at most 1, got 1.5"),
        ({"max_queries": 0}, "max_queries must be at least 1, got 0"),
    ],
    ids=lambda told: str(told)[:20],
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        square(net, images, called(net, images), **told)  # type: ignore[arg-type]


def test_labels_are_no_answer_for_it() -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match="the box answers labels: use boundary"):
        square(lambda some: net(some).argmax(dim=1), images, called(net, images))
