"""The latent walk: a half-space seen through a linear generator, the built-in autoencoder, and what is refused."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid.attack import Query, Trace, latent, outcome
from pellucid.attack._autoencoder import trained_autoencoder
from pellucid.attack._latents import Inversion, Latents, _inverted, similarity

from .nets import called, small_images, small_net

SIZE = 12
SOURCE = torch.Generator().manual_seed(1)
MAP = 0.02 * torch.randn(SIZE, 3 * 6 * 6, generator=SOURCE, dtype=torch.float64)
BACK: Tensor = torch.linalg.pinv(MAP)
NORMAL = torch.randn(3 * 6 * 6, generator=SOURCE, dtype=torch.float64)
OWN = torch.randn(3, SIZE, generator=SOURCE, dtype=torch.float64)
FAR = torch.randn(10, SIZE, generator=SOURCE, dtype=torch.float64)


def decode(latents: Tensor) -> Tensor:
    return (0.5 + latents @ MAP).view(-1, 3, 6, 6)


def encode(images: Tensor) -> Tensor:
    return (images.flatten(1) - 0.5) @ BACK


def half_space(images: Tensor) -> Tensor:
    """Labels: class 1 on one side of a plane."""
    side: Tensor = (images.flatten(1) - 0.5) @ NORMAL
    return side.gt(-0.3).long()


IMAGES, LABELS = decode(OWN), half_space(decode(OWN))
NEAREST = (OWN @ (MAP @ NORMAL) + 0.3).abs() / (MAP @ NORMAL).norm()
"""Distance from each latent to the plane, as the generator maps it back."""

GIVEN = {"decoder": decode, "encoder": encode, "start": decode(FAR), "rounded": False}


def asked(images: Tensor = IMAGES, labels: Tensor = LABELS, trace: Trace | None = None, **told: object) -> Tensor:
    made: Tensor = latent(half_space, images, labels, trace=trace, **(GIVEN | told))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(("queries", "slack"), [(1000, 0.05), (5000, 0.01)])
def test_it_converges_to_the_projection_on_a_half_space(queries: int, slack: float) -> None:
    trace = Trace()
    made = asked(max_queries=queries, trace=trace)
    assert bool((half_space(made) != LABELS).all())
    for walk, nearest in zip(trace.made, NEAREST.tolist(), strict=True):
        assert nearest <= walk.distance <= nearest * (1 + slack)
        torch.testing.assert_close((walk.latent - walk.source).norm().item(), walk.distance)
    torch.testing.assert_close(made, torch.stack([decode(walk.latent)[0] for walk in trace.made]))


def test_the_distance_never_rises_and_the_walk_tells_itself() -> None:
    trace = Trace()
    made = asked(max_queries=800, trace=trace)
    for row, walk in enumerate(trace.made):
        assert all(after <= before for before, after in itertools.pairwise(walk.distances))
        assert all(after >= before for before, after in itertools.pairwise(walk.queries))
        assert walk.queries[-1] <= 800
        assert walk.distances[0] == pytest.approx((walk.start - walk.source).norm().item())
        assert walk.reconstruction < 1e-9
        assert walk.is_faithful
        assert walk.l2 == pytest.approx((made[row] - IMAGES[row]).norm().item())
        assert 1 < len(walk.strip) <= 8
        torch.testing.assert_close(walk.strip[0], decode(walk.start)[0])
        torch.testing.assert_close(walk.strip[-1], made[row])
        assert bool((half_space(walk.strip) != LABELS[row]).all()), "it never leaves the class"


@pytest.mark.parametrize("queries", [3, 4, 17, 230])
def test_the_budget_is_kept_exactly(queries: int) -> None:
    query, trace = Query(half_space), Trace()
    latent(query, IMAGES, LABELS, max_queries=queries, trace=trace, **GIVEN)  # type: ignore[arg-type]
    assert query.count == int(trace.forward.sum())
    assert set(trace.forward.tolist()) <= {queries - 1, queries}, "one question alone is no step"


def test_with_a_decoder_an_image_is_attacked_alone_and_again_the_same() -> None:
    together = asked(max_queries=300)
    assert torch.equal(asked(max_queries=300), together)
    for row in range(3):
        alone = asked(IMAGES[row : row + 1], LABELS[row : row + 1], max_queries=300)
        torch.testing.assert_close(alone[0], together[row])
    other = asked(max_queries=300, generator=torch.Generator().manual_seed(7))
    assert not torch.equal(other, together)


def test_without_an_encoder_the_latent_is_searched() -> None:
    trace = Trace()
    made = asked(encoder=None, size=SIZE, max_queries=1500, inversion_rate=0.1, trace=trace)
    assert bool((half_space(made) != LABELS).all())
    for walk, own, nearest in zip(trace.made, OWN, NEAREST.tolist(), strict=True):
        assert walk.reconstruction < 0.002
        assert float((walk.source - own).norm()) < 0.05 * float(own.norm())
        assert walk.distance == pytest.approx(nearest, rel=0.05)
    assert trace.backward.tolist() == [0, 0, 0], "the generator's gradient, never the black box's"
    with pytest.warns(UserWarning, match="change their class"):
        asked(encoder=None, size=SIZE, max_queries=20, inversion_rate=0.1, pull=1.0, trace=trace)
    pulled = torch.stack([walk.source for walk in trace.made])
    gram = MAP @ MAP.T
    ridge = (IMAGES.flatten(1) - 0.5) @ MAP.T @ torch.linalg.inv(gram + torch.eye(SIZE))
    torch.testing.assert_close(pulled, ridge, rtol=0, atol=1e-3)


def test_a_targeted_walk_begins_at_the_target() -> None:
    targets = 1 - LABELS
    made = asked(labels=targets, targeted=True, max_queries=500)
    assert torch.equal(half_space(made), targets)


def test_a_walk_begins_at_the_nearest_image_of_the_class_among_those_attacked() -> None:
    both, trace = torch.cat([IMAGES, decode(FAR)]), Trace()
    labels = half_space(both)
    told = {"start": None, "search": 0, "max_queries": 30}
    for targeted in (False, True):
        asked(both, 1 - labels if targeted else labels, trace, targeted=targeted, **told)
        for walk, own in zip(trace.made, labels.tolist(), strict=True):
            others = torch.cat([OWN, FAR])[labels != own]
            nearest = others[(others - walk.source).norm(dim=1).argmin()]
            torch.testing.assert_close(walk.start, nearest)


def test_a_step_too_long_is_halved() -> None:
    """The class is a thin slab: most steps along its normal leave it on the other side."""
    across = MAP @ NORMAL
    low, thick = -0.3, 0.02 * float(across.norm())

    def slab(images: Tensor) -> Tensor:
        side: Tensor = (images.flatten(1) - 0.5) @ NORMAL
        return ((side > low) & (side < low + thick)).long()

    drawn = torch.randn(4, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    sources, start = drawn[:3], drawn[3:]
    sources = sources + ((low - thick - sources @ across) / across.dot(across))[:, None] * across  # just before it
    start = start + ((low + thick / 2 - start @ across) / across.dot(across))[:, None] * across
    trace, images = Trace(), decode(sources)
    given: dict[str, Any] = {"decoder": decode, "encoder": encode, "start": decode(start), "rounded": False}
    latent(slab, images, slab(images), max_queries=4000, trace=trace, **given)
    for walk in trace.made:
        assert walk.distance < 0.2 * walk.distances[0]


def test_of_several_starts_the_best_is_kept() -> None:
    space = Latents(decode, (SIZE,), (3, 6, 6), False)
    begun = torch.randn(50, 1, SIZE, generator=torch.Generator().manual_seed(0)).double()
    found = _inverted(space, IMAGES, Inversion(1, 50, 0.01, 0.0), torch.Generator().manual_seed(0))
    missed = (decode(found) - IMAGES).flatten(1).norm(dim=1)
    before = (decode(begun.flatten(0, 1))[:, None] - IMAGES).flatten(2).norm(dim=2).amin(dim=0)
    assert bool((missed < before).all())


def test_latents_are_drawn_where_no_image_is_a_start() -> None:
    trace = Trace()
    made = asked(start=None, max_queries=500, trace=trace)
    assert bool((half_space(made) != LABELS).all())
    assert {walk.start.shape for walk in trace.made} == {(SIZE,)}


def test_what_lies_outside_epsilon_is_not_returned() -> None:
    free = asked(max_queries=500)
    needed = (free - IMAGES).flatten(1).abs().amax(dim=1)
    bound = float(needed.median()) * 1.0001
    bounded = asked(max_queries=500, epsilon=bound)
    assert float((bounded - IMAGES).abs().max()) <= bound
    assert torch.equal(bounded[needed <= bound], free[needed <= bound])
    assert torch.equal(asked(max_queries=500, epsilon=1e-4), IMAGES)


def test_rounded_results_survive_a_picture_file() -> None:
    trace = Trace()
    made = asked(max_queries=500, rounded=True, trace=trace)
    torch.testing.assert_close((made * 255).round() / 255, made)
    assert bool((half_space(made) != LABELS).all())
    assert all(0 < walk.reconstruction < 1 / 255 for walk in trace.made)


def test_the_distance_may_be_that_of_the_pixels() -> None:
    trace = Trace()
    made = asked(max_queries=500, distance="image", trace=trace)
    for walk, change in zip(trace.made, (made - IMAGES).flatten(1).norm(dim=1).tolist(), strict=True):
        assert walk.distance == pytest.approx(change)


def test_the_built_in_autoencoder_has_the_principal_components() -> None:
    images, source = small_images(20, 8).double(), torch.Generator().manual_seed(0)
    net = trained_autoencoder(images, size=5, steps=0, generator=source)
    flat = images.flatten(1)
    left, deviations, right = torch.linalg.svd(flat - flat.mean(dim=0), full_matrices=False)
    best = flat.mean(dim=0) + (left[:, :5] * deviations[:5]) @ right[:5]
    torch.testing.assert_close(net(net.encode(images)).flatten(1), best)
    lengths = net.encode(images).norm(dim=1) * net.scale
    torch.testing.assert_close(lengths, (left[:, :5] * deviations[:5]).norm(dim=1))
    many = trained_autoencoder(small_images(60, 4, 1).double(), size=5, steps=0, generator=source)
    assert many.basis.shape == (5, 16)
    torch.testing.assert_close(many.basis @ many.basis.T, torch.eye(5, dtype=torch.float64))
    trained = trained_autoencoder(images, size=5, steps=60, generator=source)
    missed, before = (float((one(one.encode(images)) - images).square().mean()) for one in (trained, net))
    assert missed < 0.9 * before, "what is trained adds to them"
    exact = trained_autoencoder(images, size=20, steps=3, generator=source)
    torch.testing.assert_close(exact(exact.encode(images)), images)


def test_the_built_in_autoencoder_serves_where_no_decoder_is_given() -> None:
    net = small_net()
    plain = small_images(30, side=2, seed=9).round().repeat_interleave(6, dim=2).repeat_interleave(6, dim=3)
    targets, trace = called(net, plain), Trace()
    assert len(set(targets.tolist())) > 1
    made = latent(net, plain, targets, size=40, max_queries=120, training_steps=3, trace=trace)
    found = outcome(net, plain, made, targets)
    assert found.success.all()
    assert all(walk.reconstruction < 0.05 for walk in trace.made)


def test_done_images_stay_and_others_are_told_apart() -> None:
    labels, trace = LABELS.clone(), Trace()
    labels[1] = 1 - labels[1]
    made = asked(labels=labels, max_queries=100, trace=trace)
    assert torch.equal(made[1], IMAGES[1])
    assert trace.made[1] is None
    assert trace.forward.tolist() == [100, 1, 100]


def test_a_decoder_that_loses_the_class_is_told() -> None:
    crossed = asked(max_queries=2000)
    trace = Trace()

    def shifted(latents: Tensor) -> Tensor:
        return decode(latents) + (crossed - IMAGES)[:1] * 1.2

    with pytest.warns(UserWarning, match="1 of 1 images change their class by becoming a latent"):
        made = asked(IMAGES[:1], LABELS[:1], decoder=shifted, max_queries=50, trace=trace)
    (walk,) = trace.made
    assert (walk.is_faithful, walk.start, walk.distance) == (False, None, 0)
    torch.testing.assert_close(made, shifted(OWN[:1]))


def test_similarity_is_that_of_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    first, second = small_images(3, 16).double(), small_images(3, 16, seed=1).double()
    second = 0.7 * first + 0.3 * second
    expected = [
        metrics.structural_similarity(a.numpy(), b.numpy(), channel_axis=0, data_range=1.0)
        for a, b in zip(first, second, strict=True)
    ]
    assert similarity(first, second).tolist() == pytest.approx(expected)
    assert similarity(first, first).tolist() == pytest.approx([1, 1, 1])


class Half(nn.Module):
    """A decoder of half the side."""

    def forward(self, latents: Tensor) -> Tensor:
        return decode(latents)[:, :, ::2, ::2]


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"decoder": None}, "decoder must be given with its encoder, got an encoder alone"),
    ({"encoder": None, "size": 5}, r"the decoder takes no latents of shape \(1, 5\): set size, give its encoder"),
    ({"decoder": Half().eval()}, r"decoder must give images \(13, 3, 6, 6\), got \(13, 3, 3, 3\): resize at its end"),
    ({"decoder": Half()}, "model must be in eval mode"),
    ({"decoder": lambda z: 2 * decode(z) - 1}, r"decoder must give images in \[0, 1\], got .*: map \(x \+ 1\) / 2"),
    ({"encoder": lambda x: x.flatten(1)[:, 0]}, r"encoder must give finite latents \(N, ...\), got shape \(13,\)"),
    ({"start": torch.zeros(2, 3, 5, 5)}, r"start must hold images \(3, 6, 6\), got \(3, 5, 5\)"),
    ({"start": torch.full((2, 3, 6, 6), 9.0)}, r"start: images must be in \[0, 1\], got 9 to 9"),
    (
        {"start": IMAGES[LABELS.eq(LABELS[0])], "search": 0},
        "there is no image of another class to walk from to image 0 .* called [01]",
    ),
    ({"distance": "feature"}, "distance must be one of latent, image, got 'feature'"),
    ({"tolerance": 0.0}, "tolerance must be in"),
    ({"directions": 0}, "directions must be at least 1, got 0"),
    ({"directions": 50, "most_directions": 40}, "most_directions must be at least 50, got 40"),
    ({"pull": -1.0}, "pull must be at least 0, got -1.0"),
]


@pytest.mark.parametrize(("told", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_bad_options_are_refused(told: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        asked(**told)  # type: ignore[arg-type]


def test_one_image_alone_has_nothing_to_walk_between() -> None:
    net, images = small_net(), small_images(1)
    with pytest.raises(ValueError, match="the images are all the same: give start=other images, or a decoder"):
        latent(net, images, called(net, images))
