"""One pixel: the optimum by exhaustive search, the bookkeeping of pixels and queries, evolution by a plain loop."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from pellucid.attack import ChangedPixels, Query, Trace, one_pixel, outcome
from pellucid.attack._pixels import drawn, inside, painted

from .nets import Linear, called, small_images, small_net

ZEROS = torch.zeros(1, dtype=torch.int64)


def toy(side: int = 8, channels: int = 1, seed: int = 0) -> tuple[Linear, Tensor]:
    """A linear score of which class 0 keeps the lead whatever one pixel does, and a gray image."""
    source = torch.Generator().manual_seed(seed)
    weight = torch.randn(2, channels, side, side, generator=source, dtype=torch.float64)
    image = torch.rand(1, channels, side, side, generator=source, dtype=torch.float64)
    return Linear(weight, torch.tensor([30.0, 0.0], dtype=torch.float64)), image


def best_of_all(model: Linear, image: Tensor, epsilon: float = 1.0) -> tuple[int, Tensor]:
    """The best place in the flat image, and its best colour, by exhaustive search."""
    slope = (model.weight[1] - model.weight[0]).flatten(1)  # (C, H * W)
    old = image[0].flatten(1)
    new = torch.where(slope > 0, (old + epsilon).clamp(max=1), (old - epsilon).clamp(min=0))
    place = int((slope * (new - old)).sum(dim=0).argmax())
    return place, new[:, place]


@pytest.mark.parametrize(
    ("strategy", "channels", "epsilon"),
    [("rand/1", 1, None), ("rand/1", 3, None), ("rand/1", 1, 0.2), ("best/1", 1, None)],
)
def test_a_linear_score_gives_the_pixel_of_the_exhaustive_search(
    strategy: str, channels: int, epsilon: float | None
) -> None:
    model, image = toy(channels=channels)
    trace = Trace()
    made = one_pixel(
        model, image, ZEROS, epsilon=epsilon, population=100, generations=60, strategy=strategy, trace=trace
    )
    place, colour = best_of_all(model, image, epsilon or 1.0)
    (pixels,) = trace.made
    assert (pixels.rows * 8 + pixels.columns).tolist() == [place]
    torch.testing.assert_close(pixels.new[0], colour, rtol=0, atol=1e-3)
    assert torch.equal((made != image).any(dim=1).flatten().nonzero()[:, 0], torch.tensor([place]))


def test_the_one_pixel_that_counts_is_found() -> None:
    weight = torch.zeros(2, 1, 9, 9)
    weight[1, 0, 6, 2] = 4.0
    image = torch.full((1, 1, 9, 9), 0.1)
    trace = Trace()
    made = one_pixel(Linear(weight, torch.tensor([2.0, 0.0])), image, ZEROS, population=60, trace=trace)
    assert outcome(Linear(weight, torch.tensor([2.0, 0.0])), image, made, ZEROS).success.all()
    assert (trace.made[0].rows.tolist(), trace.made[0].columns.tolist()) == ([6], [2])


@pytest.mark.parametrize("pixels", [1, 3, 5])
@pytest.mark.parametrize("targeted", [False, True])
def test_the_listed_pixels_differ_and_no_other(pixels: int, targeted: bool) -> None:
    net, images = small_net(3), small_images(8)
    targets = (called(net, images) + targeted) % 5
    trace = Trace()
    made = one_pixel(net, images, targets, pixels=pixels, population=20, generations=3, targeted=targeted, trace=trace)
    found = outcome(net, images, made, targets, targeted=targeted)
    for image, adversarial, some in zip(images, made, trace.made, strict=True):
        listed = torch.zeros(12, 12, dtype=torch.bool)
        listed[some.rows[some.is_changed], some.columns[some.is_changed]] = True
        assert torch.equal((image != adversarial).any(dim=0), listed)
        torch.testing.assert_close(adversarial[:, some.rows, some.columns].T, some.new, rtol=0, atol=0)
        assert torch.equal(image[:, some.rows, some.columns].T, some.old)
        assert len(some) in {0, pixels}
    assert found.l0.tolist() == [int(some.is_changed.sum()) for some in trace.made]
    assert int(found.l0.max()) == pixels


def test_a_colour_that_is_the_old_one_is_told() -> None:
    black = torch.zeros(1, 1, 3, 3)  # only white helps, at one place; the second pixel is better left black
    weight = torch.full((2, 1, 3, 3), -1.0)
    weight[0], weight[1, 0, 1, 1] = 0.0, 1.0
    trace = Trace()
    made = one_pixel(
        Linear(weight, torch.tensor([9.0, 0.0])), black, ZEROS, pixels=2, population=40, generations=20, trace=trace
    )
    assert trace.made[0].is_changed.sum() == 1
    assert made.flatten().nonzero()[:, 0].tolist() == [4]


def test_the_best_is_never_lost_and_queries_are_the_papers_and_a_look() -> None:
    net, images, trace = small_net(0), small_images(6), Trace()
    query = Query(net)
    made = one_pixel(query, images, called(net, images), population=10, generations=7, trace=trace)
    steps = torch.stack(trace.history).diff(dim=0)
    assert bool((steps.nan_to_num(1) >= 0).all())
    hit = outcome(net, images, made, called(net, images)).success
    assert torch.equal(trace.forward, 1 + 10 * (trace.iterations + 1))
    assert trace.iterations[~hit].tolist() == [7] * int((~hit).sum())
    assert query.count == int(trace.forward.sum())


@pytest.mark.parametrize("most", [1, 5, 11, 27])
def test_the_budget_is_spent_to_the_last_and_never_passed(most: int) -> None:
    model, image = toy()
    trace = Trace()
    made = one_pixel(model, image, ZEROS, population=10, generations=9, max_queries=most, trace=trace)
    assert trace.forward.tolist() == [most]
    assert torch.equal(made, image) == (most == 1)


def test_the_evolution_is_the_papers_by_a_plain_loop() -> None:
    """One image, one pixel: each child a1 + F (a2 - a3) of the same random parents, kept if no worse."""
    model, image = toy(5)
    source, trace = torch.Generator().manual_seed(4), Trace()
    again = torch.Generator().manual_seed(4)
    one_pixel(model, image, ZEROS, population=6, generations=5, scale=0.7, generator=again, trace=trace)

    def reflected(value: float) -> float:
        while not 0 <= value < 5:
            value = -value if value < 0 else 10 - value
        return value

    def fitness(genes: list[float]) -> float:
        changed = image.clone()
        changed[0, 0, int(genes[0]), int(genes[1])] = genes[2]
        return -float(model(changed).detach().log_softmax(dim=1)[0, 0])

    every = drawn(6, 1, image.shape, source)[:, 0].double().tolist()
    torch.rand(6, 1, generator=source)
    worth = [fitness(genes) for genes in every]
    best = [max(worth)]
    for _ in range(5):
        chances = torch.rand(6, 6, generator=source)
        torch.rand(6, 1, generator=source)
        children = []
        for parent in range(6):
            order = [other for other in chances[parent].argsort().tolist() if other != parent]
            a, b, c = (every[other] for other in order[:3])
            child = [x + 0.7 * (y - z) for x, y, z in zip(a, b, c, strict=True)]
            children.append([reflected(child[0]), reflected(child[1]), min(1.0, max(0.0, child[2]))])
        for parent, child in enumerate(children):
            if fitness(child) >= worth[parent]:
                every[parent], worth[parent] = child, fitness(child)
        best.append(max(worth))
    assert torch.stack(trace.history)[:, 0].tolist() == pytest.approx(best, rel=1e-6)


def test_pixels_of_a_candidate_never_meet() -> None:
    """On 2 x 3 pixels, five of a candidate's must be told apart nearly always; the later one moves."""
    source = torch.Generator().manual_seed(0)
    shape = torch.Size((1, 1, 2, 3))
    genes = torch.cat([9 * torch.randn(1, 200, 5, 2, generator=source), torch.rand(1, 200, 5, 1, generator=source)], 3)
    brought = inside(genes, shape, torch.rand(200, 5, generator=source))
    rows, columns = brought[0, ..., 0].floor().long(), brought[0, ..., 1].floor().long()
    assert bool(((rows >= 0) & (rows < 2) & (columns >= 0) & (columns < 3)).all())
    for places in (rows * 3 + columns).tolist():
        assert len(set(places)) == 5
    met = inside(genes, shape, torch.zeros(200, 5))[:, :, 0, :2]
    assert torch.equal(met, brought[:, :, 0, :2]), "the first one stays"


def test_where_a_pixel_goes_that_met_another_is_uniform() -> None:
    genes = torch.full((1, 3000, 2, 3), 0.5)
    moved = inside(genes, torch.Size((1, 1, 2, 3)), torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)))
    places = (moved[0, :, 1, 0].floor() * 3 + moved[0, :, 1, 1].floor()).long().bincount(minlength=6)
    assert places[0] == 0
    assert bool(((places[1:] - 600).abs() < 100).all())


def test_places_are_reflected_at_the_edges() -> None:
    values = torch.tensor([-0.25, 4.0, 4.5, 9.0, -5.0]).view(1, 5, 1, 1)
    genes = torch.cat([values, values, values], dim=3)
    brought = inside(genes, torch.Size((1, 1, 4, 4)), torch.zeros(5, 1))[0, :, 0]
    assert brought[:, 0].tolist() == pytest.approx([0.25, 4.0, 3.5, 1.0, 3.0])
    assert bool((brought[:, 0] < 4).all())
    assert brought[:, 2].tolist() == pytest.approx([0, 1, 1, 1, 0])


def test_painting_is_setting_pixels() -> None:
    images = small_images(2, side=5)
    source = torch.Generator().manual_seed(1)
    genes = inside(drawn(3, 2, images.shape, source)[None], images.shape, torch.rand(3, 2, generator=source))
    made = painted(images, genes.expand(2, -1, -1, -1), None, is_8bit=False)
    for candidate, number in itertools.product(range(3), range(2)):
        expected = images[number].clone()
        for row, column, *colour in genes[0, candidate].tolist():
            expected[:, int(row), int(column)] = torch.tensor(colour)
        torch.testing.assert_close(made[candidate, number], expected)


@pytest.mark.parametrize("epsilon", [None, 0.1])
def test_colours_of_8_bits_survive_a_file(epsilon: float | None) -> None:
    net, images = small_net(0), (small_images(6) * 255).round() / 255
    targets = called(net, images)
    made = one_pixel(net, images, targets, population=20, generations=4, pixels=3, epsilon=epsilon, is_8bit=True)
    torch.testing.assert_close(made, (made * 255).round() / 255, rtol=0, atol=1e-7)
    found = outcome(net, images, made, targets)
    assert torch.equal(found.success, found.success_8bit)
    assert float(found.linf.max()) <= (epsilon or 1) + 1e-6
    assert not torch.equal(made, images)


def test_it_goes_on_until_the_probability_that_was_asked_for() -> None:
    model, image = toy(seed=1)
    close = Linear(model.weight.detach(), torch.tensor([0.0, 0.0], dtype=torch.float64))
    bias = float((close(image)[0, 1] - close(image)[0, 0]).detach()) + 1.5
    close = Linear(model.weight.detach(), torch.tensor([bias, 0.0], dtype=torch.float64))
    told = {"population": 40, "generations": 30}
    traces = Trace(), Trace()
    early, late = (
        outcome(close, image, one_pixel(close, image, ZEROS, trace=trace, **told, **more), ZEROS)  # type: ignore[arg-type]
        for trace, more in zip(traces, ({}, {"stop_probability": 0.1}), strict=True)
    )
    assert early.success.all()
    assert late.success.all()
    assert late.target_after.item() <= 0.1 < early.target_after.item()
    assert traces[0].forward < traces[1].forward
    goal = one_pixel(close, image, ZEROS + 1, targeted=True, stop_probability=0.9, **told)  # type: ignore[arg-type]
    assert outcome(close, image, goal, ZEROS + 1, targeted=True).target_after.item() >= 0.9


def test_crossover_0_takes_one_gene_of_the_new_candidate() -> None:
    model, image = toy()
    told = {"population": 30, "generations": 20}
    worst, plain = (
        float(model(one_pixel(model, image, ZEROS, crossover=rate, **told)).detach()[0, 0])  # type: ignore[arg-type]
        for rate in (0.0, 1.0)
    )
    assert worst < float(model(image).detach()[0, 0])
    assert worst != plain


def test_what_no_candidate_helps_is_returned_as_it_is() -> None:
    white = torch.ones(1, 1, 3, 3)
    weight = torch.zeros(2, 1, 3, 3)
    weight[1] = 1.0  # whatever is not white makes class 0 stronger
    trace = Trace()
    made = one_pixel(Linear(weight, torch.tensor([99.0, 0.0])), white, ZEROS, population=6, generations=2, trace=trace)
    assert torch.equal(made, white)
    assert isinstance(trace.made[0], ChangedPixels)
    assert math.isfinite(trace.history[-1].item())


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"population": 3}, "population must be at least 4, got 3: a child needs 3 other parents"),
        ({"pixels": 0}, "pixels must be at least 1, got 0"),
        ({"pixels": 145}, r"pixels must be in \[1, 144\], got 145"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        ({"scale": math.nan}, "scale must be above 0, got nan"),
        ({"generations": 0}, "generations must be at least 1, got 0"),
        ({"strategy": "rand1"}, "strategy must be one of rand/1, best/1, got 'rand1'; did you mean rand/1"),
        ({"crossover": 1.1}, r"crossover must be in \[0, 1\], got 1.1"),
        ({"stop_probability": 5.0}, r"stop_probability must be in \[0, 1\], got 5.0"),
        ({"epsilon": 8}, "epsilon must be in image units, at most 1, got 8: 8/255 was meant"),
        ({"max_queries": 0}, "max_queries must be at least 1, got 0"),
    ],
    ids=lambda told: str(told)[:24],
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        one_pixel(net, images, called(net, images), **told)  # type: ignore[arg-type]
