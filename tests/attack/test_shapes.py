"""Evolved shapes: what they cover, in what order, within what bound, and that a toy model falls."""

import math
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor

from pellucid.attack import Painting, Query, Shape, Trace, outcome, shapes
from pellucid.attack._layers import Child, Layers, Look
from pellucid.attack._painting import FORM, KINDS, coverage

from .nets import called, small_images, small_net

BLACK = torch.zeros(1, 3, 64, 64, dtype=torch.float64)
WHITE = (1.0, 1.0, 1.0)


def over(image: Tensor, *painted: Shape, mode: str = "overlay", epsilon: float | None = None) -> Tensor:
    return Painting(painted, mode, epsilon).over(image)


def circle(x: float = 0.5, y: float = 0.5, radius: float = 0.2, opacity: float = 1.0, colour: str = "111") -> Shape:
    return Shape("circle", (x, y, radius), tuple(float(c) for c in colour), opacity)


AREAS = [
    (circle(radius=0.3), math.pi * 0.3**2),
    (circle(0.4, 0.6, 0.1), math.pi * 0.1**2),
    (Shape("triangle", (0.1, 0.2, 0.9, 0.3, 0.4, 0.8), WHITE, 1.0), 0.5 * abs(0.8 * 0.6 - 0.3 * 0.1)),
    (Shape("rectangle", (0.5, 0.4, 0.5, 0.2, 0.7), WHITE, 1.0), 0.5 * 0.2),
    (Shape("stroke", (0.2, 0.3, 0.7, 0.6, 0.1), WHITE, 1.0), math.hypot(0.5, 0.3) * 0.1 + math.pi * 0.05**2),
]


@pytest.mark.parametrize(("shape", "area"), AREAS, ids=[f"{shape.kind}-{area:.3f}" for shape, area in AREAS])
def test_an_opaque_shape_covers_its_area(shape: Shape, area: float) -> None:
    made = over(BLACK, shape)
    assert made[0, 0].mean().item() == pytest.approx(area, rel=0.01)
    assert set(made.flatten().tolist()) >= {0.0, 1.0}, "anti-aliased, but only at the edge"


def test_each_pixel_is_covered_as_finer_pixels_say() -> None:
    """The analytic oracle: 16 x 16 points inside each pixel, asked one by one whether they lie in the shape."""
    side, fine = 24, 16
    grid = (torch.arange(side * fine, dtype=torch.float64) + 0.5) / (side * fine)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    turn, inside = 0.7, {}
    inside["circle"] = (x - 0.45) ** 2 + (y - 0.55) ** 2 <= 0.3**2
    along, beside = x - 0.5, y - 0.4
    u, v = math.cos(turn) * along + math.sin(turn) * beside, math.cos(turn) * beside - math.sin(turn) * along
    inside["rectangle"] = (u.abs() <= 0.25) & (v.abs() <= 0.15)
    forms = {"circle": (0.45, 0.55, 0.3), "rectangle": (0.5, 0.4, 0.5, 0.3, turn)}
    for kind, form in forms.items():
        exact = inside[kind].double().view(side, fine, side, fine).mean(dim=(1, 3))
        made = over(torch.zeros(1, 1, side, side, dtype=torch.float64), Shape(kind, form, (1.0,), 1.0))[0, 0]
        assert (made - exact).abs().max().item() < 0.2
        assert (made - exact).abs().mean().item() < 0.006


def test_shapes_keep_their_proportions_on_an_oblong_image() -> None:
    made = over(torch.zeros(1, 1, 40, 100), Shape("circle", (0.5, 0.5, 0.25), (1.0,), 1.0))[0, 0]
    assert (made.amax(dim=0) > 0).sum() == (made.amax(dim=1) > 0).sum() == 20, "a quarter of the shorter side, twice"


def test_the_order_matters_and_the_last_lies_on_top() -> None:
    red, green = circle(colour="100"), circle(0.6, colour="010")
    first, second = over(BLACK, red, green), over(BLACK, green, red)
    assert not torch.equal(first, second)
    assert first[0, :, 32, 35].tolist() == [0, 1, 0]
    assert second[0, :, 32, 35].tolist() == [1, 0, 0]


def test_half_opaque_shapes_blend() -> None:
    both = over(BLACK, circle(opacity=0.5, colour="100"), circle(opacity=0.25, colour="010"))
    assert both[0, :, 32, 32].tolist() == pytest.approx([0.375, 0.25, 0])


def test_noise_is_gray_where_nothing_is_painted() -> None:
    image = torch.full((1, 3, 64, 64), 0.4, dtype=torch.float64)
    made = over(image, circle(colour="100"), mode="noise", epsilon=0.1)
    assert made[0, :, 0, 0].tolist() == pytest.approx([0.4, 0.4, 0.4])
    assert made[0, :, 32, 32].tolist() == pytest.approx([0.5, 0.3, 0.3])
    assert torch.equal(over(image, mode="noise", epsilon=0.1), image)


@pytest.mark.parametrize("told", [{"mode": "noise"}, {"mode": "overlay", "epsilon": None}, {"mode": "overlay"}])
def test_shapes_without_opacity_change_nothing(told: dict[str, object]) -> None:
    net, images = small_net(), small_images(2)
    made = shapes(net, images, called(net, images), opacity=0.0, count=3, max_queries=5, **told)  # type: ignore[arg-type]
    assert torch.equal(made, images)


def test_a_change_painted_from_its_place_up_is_the_whole_painted_anew() -> None:
    source = torch.Generator().manual_seed(0)
    images = small_images(3, 10).double()
    kinds = torch.randint(len(KINDS), (3, 21), generator=source)
    genes = torch.rand(3, 21, FORM + 4, generator=source, dtype=torch.float64)
    rows = torch.arange(3)
    for mode in ("noise", "overlay"):
        layers = Layers(images, kinds, genes, Look(mode, 0.1, 0.9, 0.05, 0.5))
        for places in ((0,), (20,), (9,), (3, 17)):
            new_kinds, new_genes = layers.kinds.clone(), layers.genes.clone()
            new_kinds[:, places] = (new_kinds[:, places] + 1) % 4
            new_genes[:, places] = 1 - new_genes[:, places]
            child = Child(new_kinds, new_genes, places)
            fresh = Layers(images, new_kinds, new_genes, layers.look)
            expected = fresh.pictures(rows)
            torch.testing.assert_close(layers.pictures(rows, child), expected)
            layers.take(child[rows[1:]], rows[1:])
            torch.testing.assert_close(layers.pictures(rows)[1:], expected[1:])
            torch.testing.assert_close(layers.marks[:, 1:], fresh.marks[:, 1:])
        again = torch.cat([p.over(images[i : i + 1]) for i, p in enumerate(layers.paintings(range(3)))])
        torch.testing.assert_close(again, layers.pictures(rows))


def redness(images: Tensor) -> Tensor:
    """A box: the logit of class 1 is the mean of red, less 0.6."""
    red = 20 * (images[:, 0].mean(dim=(1, 2)) - 0.6)
    return torch.stack([-red, red], dim=1)


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_a_model_of_redness_is_painted_red(kind: str) -> None:
    images = small_images(3, 16) * 0.1 + 0.5
    targets, trace = torch.ones(3, dtype=torch.int64), Trace()
    told = {"mode": "overlay", "epsilon": 0.2, "count": 12, "kind": kind, "max_queries": 600, "targeted": True}
    made = shapes(redness, images, targets, trace=trace, **told)  # type: ignore[arg-type]
    found = outcome(redness, images, made, targets, targeted=True)
    assert found.success.all()
    assert float(found.linf.max()) <= 0.2 + 1e-6
    for image, result, painting in zip(images, made, trace.made, strict=True):
        torch.testing.assert_close(painting.over(image[None])[0], result)
        assert len(painting.shapes) == 12
        assert {shape.kind for shape in painting.shapes} <= (set(KINDS) if kind == "mixed" else {kind})


@pytest.mark.parametrize("children", [1, 7])
def test_the_fitness_never_falls_and_the_budget_is_spent_exactly(children: int) -> None:
    net, images = small_net(), small_images(3)
    trace, query, targets = Trace(), Query(net), called(net, images)
    made = shapes(query, images, targets, epsilon=0.002, max_queries=60, count=6, children=children, trace=trace)
    assert trace.forward.tolist() == [60, 60, 60]
    assert query.count == 180, "the clean image, the first painting, and the children"
    assert trace.iterations.tolist() == [-(-58 // children)] * 3
    history = torch.stack(trace.history)
    assert bool((history.diff(dim=0) >= 0).all())
    assert bool((history[-1] > history[0]).all())
    assert float((made - images).abs().max()) <= 0.002 + 1e-6


def test_the_last_fitness_is_that_of_the_image_returned() -> None:
    net, images = small_net(), small_images(3)
    trace, targets = Trace(), called(net, images)
    made = shapes(net, images, targets, epsilon=0.05, max_queries=80, count=6, trace=trace)
    chances = net(made).detach().log_softmax(dim=1)
    own = chances.gather(1, targets[:, None])[:, 0]
    others = chances.scatter(1, targets[:, None], -math.inf).amax(dim=1)
    torch.testing.assert_close(others - own, trace.history[-1], rtol=0, atol=1e-5)


def test_a_painting_that_brings_nothing_is_not_returned() -> None:
    images = torch.full((1, 3, 8, 8), 0.5)
    trace = Trace()

    def box(some: Tensor) -> Tensor:
        away = (some - 0.5).abs().mean(dim=(1, 2, 3))
        return torch.stack([9 + away, torch.zeros_like(away)], dim=1)

    assert torch.equal(shapes(box, images, torch.tensor([0]), max_queries=20, count=2, trace=trace), images)
    assert trace.made == (Painting((), "noise", 0.05),)
    assert torch.equal(trace.made[0].over(images), images)


def test_zero_probabilities_do_not_end_it() -> None:
    def box(some: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((some[:, 0].mean(dim=(1, 2)) > 0.52).long(), 3).float()

    images = torch.full((1, 3, 8, 8), 0.5)
    told = {"mode": "overlay", "epsilon": 0.3, "count": 5, "max_queries": 400}
    made = shapes(box, images, torch.tensor([0]), **told)  # type: ignore[arg-type]
    assert box(made).argmax().item() == 1


def test_the_drawing_is_an_svg_of_the_same_shapes() -> None:
    painted = tuple(shape for shape, _ in AREAS)
    root = ElementTree.fromstring(Painting(painted, "noise", 0.05).svg(64, 128))
    tags = [element.tag.rpartition("}")[2] for element in root]
    assert tags == ["rect", "circle", "circle", "polygon", "rect", "line"]
    assert root.get("viewBox") == "0 0 128 64"
    assert (root[1].get("cx"), root[1].get("r"), root[1].get("fill-opacity")) == ("64.000", "19.200", "1.0000")
    assert len(ElementTree.fromstring(Painting(painted, "overlay", None).svg(64, 128))) == 5
    with pytest.raises(ValueError, match="an SVG has gray or RGB colours, this painting has 2 channels"):
        Painting((Shape("circle", (0.5, 0.5, 0.1), (1.0, 0.0), 1.0),), "noise", 0.05).svg(8, 8)


def test_a_sliver_is_covered_by_what_it_is() -> None:
    form = torch.tensor([[0.1, 0.5, 0.9, 0.5, 0.5, 0.5, ]], dtype=torch.float64)  # fmt: skip
    covered = coverage(torch.tensor([1]), form, 20, 20)
    assert float(covered.max()) <= 0.5
    assert covered[0, :8].max() == covered[0, 12:].max() == 0


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"kind": "circles"}, "kind must be one of circle, triangle, rectangle, stroke, mixed, got 'circles'; did you"),
        ({"mode": "over"}, "mode must be one of noise, overlay, got 'over'"),
        ({"epsilon": None}, "epsilon must be a number for noise, got None: take mode='overlay'"),
        ({"max_queries": 1}, "max_queries must be at least 2, got 1"),
        ({"children": 0}, "children must be at least 1, got 0"),
        ({"sigma": 0.5}, r"sigma must be in \[0.01, 0.3\], got 0.5"),
        ({"opacity": 1.5}, r"opacity must be in \[0, 1\], got 1.5"),
        ({"smallest": 0.0}, "smallest must be above 0 and at most largest, 0.5, got 0.0"),
        ({"smallest": 0.6}, "smallest must be above 0 and at most largest, 0.5, got 0.6"),
    ],
    ids=lambda told: str(told)[:24],
)
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    net, images = small_net(), small_images()
    with pytest.raises(ValueError, match=message):
        shapes(net, images, called(net, images), **told)  # type: ignore[arg-type]
